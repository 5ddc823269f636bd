"""The documentation page: Swagger UI from bundled files. It sends no request to another service."""

import gzip
import re
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from app.api.responses import get_public

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; img-src 'self' data:"  # data: Swagger UI's arrows
)
HEADERS: Final = {
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # the browser revalidates each time, and gets a 304
    "vary": "Accept-Encoding",
}
_TYPES: Final = {
    "docs.html": "text/html",
    "docs.css": "text/css",
    "problems.css": "text/css",
    "docs.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "swagger-ui/swagger-ui.css": "text/css",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript",
}

# Without what a client refuses by `q=0` (RFC 9110 §12.5.3).
_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", re.IGNORECASE)


class Asset:
    """Bytes that do not change while the process runs, and their gzip form."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self.media_type = media_type
        self._bytes = content
        self._hash = sha256(self._bytes).hexdigest()[:16]
        self._gzipped: bytes | None = None

    def respond(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return the bytes, as gzip where the client accepts it; 304 if the client has them already."""
        accepts_gzip = _GZIP.search(request.headers.get("accept-encoding", "")) is not None
        etag = f'"{self._hash}{"-gzip" if accepts_gzip else ""}"'  # each form has its own (RFC 9110 §8.8.3.3)
        headers = {**HEADERS, "etag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        if not accepts_gzip:
            return Response(self._bytes, headers=headers, media_type=self.media_type)
        if self._gzipped is None:
            self._gzipped = gzip.compress(self._bytes, mtime=0)
        headers["content-encoding"] = "gzip"
        return Response(self._gzipped, headers=headers, media_type=self.media_type)


_STATIC: Final = files("app.api").joinpath("static")
_ASSETS: Final = {
    name.rpartition("/")[2]: Asset(_STATIC.joinpath(*name.split("/")).read_bytes(), media_type)
    for name, media_type in _TYPES.items()
}


@get_public("/docs", include_in_schema=False)
async def serve_page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Serve the documentation page."""
    return _ASSETS["docs.html"].respond(request)


@get_public("/docs/{name:str}", include_in_schema=False)
async def serve_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Serve a file of the documentation page or of the problem pages."""
    if name not in _ASSETS:
        raise NotFoundException
    return _ASSETS[name].respond(request)


@get_public("/", include_in_schema=False)
async def redirect_to_page() -> Redirect:
    """Redirect a browser from `/` to the documentation page."""
    return Redirect("/docs")


DOCS_HANDLERS: Final = [serve_page, serve_asset, redirect_to_page]
