"""Headers of responses in the OpenAPI document. Each is described once, and responses refer to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.spec import OpenAPIHeader, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType


@dataclass
class _ShortHeader(OpenAPIHeader):
    """A header without the members that have their defaults. Litestar writes them too."""

    def to_schema(self) -> dict[str, Any]:
        """Return the header as JSON."""
        return {name: value for name, value in super().to_schema().items() if value is not False}


def _header(description: str, *, required: bool = False) -> OpenAPIHeader:
    return _ShortHeader(schema=Schema(type=OpenAPIType.STRING), description=description, required=required)


HEADERS: Final[dict[str, OpenAPIHeader]] = {
    "X-Request-ID": _header("The id of the request, which the log of the service has too", required=True),
    "RateLimit-Policy": _header(
        '`q`: the requests allowed in `w` seconds: `"person";q=1200;w=60`, or `"address"`'
    ),
    "RateLimit": _header(
        '`r`: requests left in this window; `t`: seconds until the next window: `"person";r=0;t=17`'
    ),
    "ETag": _header('The version of the task: `"3"`', required=True),
    "ETag.list": _header("Changes with each change of this person's tasks", required=True),
    "Link": _header('The next page, if there is one now: `<…>; rel="next"` (RFC 8288)'),
    "Location": _header("The path of the task", required=True),
    "Idempotency-Replayed": _header("`true` if the response is that of an earlier request"),
    "Retry-After": _header("Seconds to wait", required=True),
    "Retry-After.sometimes": _header("Seconds to wait, where waiting helps"),
    "WWW-Authenticate": _header("RFC 6750", required=True),
    "Connection": _header("`close`"),
    "Accept-Encoding": _header("`identity`, if the body had a content coding (RFC 9110 §12.5.3)"),
}
"""Each header by its name among the components. `ETag.list` is the header `ETag` of a list."""

_ALL: Final = ("X-Request-ID",)
_COUNTED: Final = (*_ALL, "RateLimit-Policy", "RateLimit")  # optional: the operator may turn the limits off


def headers_of(names: Iterable[str], *, counted: bool) -> dict[str, OpenAPIHeader | Reference]:
    """Return the headers of a response: these, and those of every response.

    `counted`: whether requests of the operation count for the rate limits.
    """
    return {
        name.partition(".")[0]: Reference(f"#/components/headers/{name}")
        for name in (*(_COUNTED if counted else _ALL), *names)
    }
