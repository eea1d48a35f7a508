"""JSON files are read back as they were written, or refused in one line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ssul.errors import UserError
from ssul.io.strict_json import read_json


@dataclass(frozen=True)
class Thing:
    count: int
    share: float = 0.5
    names: tuple[str, ...] = ()
    found: dict[int, int] | None = None


def read(path: Path, content: bytes) -> Thing:
    (path / "thing.json").write_bytes(content)
    return read_json(path / "thing.json", Thing, what="the thing", way_out="make it")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    content = '{"count": 3, "share": 1e-5, "names": ["Ähre 🐑"], "found": {"7": 2}}'
    assert read(tmp_path, content.encode()) == Thing(3, 1e-5, ("Ähre 🐑",), {7: 2})


REFUSED = {
    b"": "Expecting value",
    b'{"count": 3': "delimiter",
    b"\xff\xfe": "codec",
    b"[1]": "object",
    b"{}": "count",
    b'{"count": true}': "count: Input should be a valid integer",
    b'{"count": 1.0}': "count: Input should be a valid integer",
    b'{"count": 1, "share": NaN}': "NaN",
    b'{"count": 1, "share": -Infinity}': "-Infinity",
    b'{"count": 1, "share": 1e999}': "too large a number",
    b'{"count": 1, "count": 2}': "the key 'count' is there twice",
    b'{"count": 1, "names": "abc"}': "names",
    b'{"count": 1, "found": {"a": 1}}': "found",
    b'{"count": ' + b"9" * 10_000 + b"}": "digits",
    b"[" * 1_000_000: "nested too deeply",
    b'{"count": 1, "names": ["\\ud800"]}': "",
}


@pytest.mark.parametrize(("content", "why"), REFUSED.items(), ids=range(len(REFUSED)))
def test_anything_else_is_refused_in_one_line_with_the_way_out(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path, content)
    message = str(refused.value)
    assert why in message
    assert "\n" not in message
    assert len(message) < 1000
    assert message.startswith("the thing ")
    assert message.endswith("): make it")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "is not a file"), (tmp_path / "nowhere", "is missing")):
        with pytest.raises(UserError, match=f"{why}: make it"):
            read_json(path, Thing, what="the thing", way_out="make it")
