"""Pages of lists: how long one may be, and the token that names where the next begins."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from typing import Final

from podium.app.failure import RequestUnsound, shown

PAGE_SIZE: Final = 100
PAGE_SIZE_MAX: Final = 1_000


def require_page_size(size: int) -> int:
    """0 = the default. Raises RequestUnsound."""
    if not 0 <= size <= PAGE_SIZE_MAX:
        raise RequestUnsound(f"page_size: expected 0 to {PAGE_SIZE_MAX}, found {size}")
    return size or PAGE_SIZE


def token_of(last: str) -> str:
    """Names the last element of a page."""
    return urlsafe_b64encode(last.encode()).decode()


def require_token(token: str) -> str:
    """The last element of the page before; "" = the first page. Raises RequestUnsound."""
    try:
        return b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise RequestUnsound(
            f"page_token: expected one of a page before, found {shown(token)}"
        ) from None
