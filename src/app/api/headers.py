"""Request headers, read where the server put them: Litestar makes an object of all of them at each look."""

from typing import Any

from litestar import Request


def lines(request: Request[Any, Any, Any], name: bytes) -> list[str]:
    """Return every line of a header, by its name in lower case (ASGI: they all are)."""
    headers: Any = request.scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def first(request: Request[Any, Any, Any], name: bytes) -> str | None:
    """Return the first line of a header; None where there is none."""
    headers: Any = request.scope["headers"]
    for key, value in headers:
        if key == name:
            decoded: str = value.decode("latin-1")
            return decoded
    return None
