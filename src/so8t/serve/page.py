"""`GET /`: one page to try the server with. It loads nothing, and its policy lets it reach nothing but this server."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi.responses import HTMLResponse, Response

__all__ = ["PAGE_PATH", "content_security_policy", "page_response"]

PAGE_PATH = "/"
_FILE = Path(__file__).parent / "static" / "page.html"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


async def page_response() -> Response:
    """Give the page with its policy."""
    html = _html()
    return HTMLResponse(html, headers={"Content-Security-Policy": content_security_policy(html)})


def content_security_policy(html: str) -> str:
    """Allow exactly the inline scripts and styles of a page, by their hashes, and requests to its own server.

    Example:
        >>> content_security_policy("<style></style>").split("; ")[1]
        "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    hashes: dict[str, list[str]] = {}
    for kind, content in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes.setdefault(kind, []).append(f"'sha256-{digest}'")
    allowed = [f"{kind}-src {' '.join(values)}" for kind, values in hashes.items()]
    rest = ["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return "; ".join(["default-src 'none'", *allowed, *rest])


@cache
def _html() -> str:
    # bytes as they are: the hashes are of what is sent
    return _FILE.read_bytes().decode("utf-8")
