"""Which texts are URLs, and how they are shown without their passwords."""

import pytest

from ssul.io.urls import is_url, redact_password


def test_a_url_has_a_scheme() -> None:
    assert all(map(is_url, ["https://host/x", "http://host", "FILE:///x", "file:x", "s3://bucket", "ftp://host"]))
    assert not any(map(is_url, ["data/mirror", "/data", "~/mirror", "C:/mirror", "a:b", ""]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s@cr:t@host/x", "https://host/x"),
        ("fetch http://a:b@one/x and http://c@two/y", "fetch http://one/x and http://two/y"),
        ("https://host/a@b?c=d@e", "https://host/a@b?c=d@e"),
        ("https://host?mail=a@b", "https://host?mail=a@b"),
        ("no address@all", "no address@all"),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, shown: str) -> None:
    assert redact_password(text) == shown
