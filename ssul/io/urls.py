"""Which texts are URLs, and how to show one without its password."""

import re

_SCHEME = re.compile(r"file:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether the text is a URL (`https://…`, `file:///…`), not a path."""
    return _SCHEME.match(text) is not None


def redact_password(text: str) -> str:
    """The text without the `user:password@` of any URL in it."""
    return re.sub(r"//[^/?#\s]*@", "//", text)
