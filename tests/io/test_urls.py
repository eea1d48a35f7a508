"""Addresses: which words are one, and their passwords."""

import pytest

from ssul.io.urls import is_url, redact_password


@pytest.mark.parametrize("text", ["https://host/x", "http://host", "FILE:///x", "file:x", "s3://bucket", "ftp://host"])
def test_addresses_have_a_scheme(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize("text", ["data/mirror", "/data", "~/mirror", "C:/mirror", "a:b", ""])
def test_folders_have_none(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/x", "https://host/x"),
        ("https://me:s@cr:t@host", "https://host"),
        ("fetch http://a:b@one/x and http://c@two/y", "fetch http://one/x and http://two/y"),
        ("https://host/a@b?c=d@e", "https://host/a@b?c=d@e"),
        ("https://host?mail=a@b", "https://host?mail=a@b"),
        ("no address@all", "no address@all"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    assert redact_password(text) == shown
