"""Numbers of bytes for messages; the users of `require_disk_space` test it."""

from ssul.io.disk import format_bytes


def test_sizes_are_readable() -> None:
    readable = [format_bytes(count) for count in (0, 999, 1000, 1_999_639_040, 2 * 10**13)]
    assert readable == ["0 B", "999 B", "1.0 kB", "2.0 GB", "20000.0 GB"]
