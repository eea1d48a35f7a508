"""Which texts are URLs, and how to show one without its password."""

import re

_SCHEME = re.compile(r"file:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether the text is an address (`https://…`, `file:///…`) and no path."""
    return _SCHEME.match(text) is not None


def redact_password(text: str) -> str:
    """The text, in which every address has lost its `user:password@`."""
    return re.sub(r"//[^/?#\s]*@", "//", text)
