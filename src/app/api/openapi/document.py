"""The OpenAPI document, built from the handlers and the descriptions in `app.api.openapi.operations`."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, Reference, Schema, SecurityScheme, Tag

from app.api.docs import Asset
from app.api.openapi.builder import BEARER, add_errors
from app.api.openapi.components import COMPONENTS
from app.api.openapi.headers import HEADERS
from app.api.responses import get_public
from app.api.schemas import encode

METHODS: Final = ("get", "put", "post", "delete", "patch")
TASK: Final = Reference("#/components/schemas/Task")
DESCRIPTION: Final = """Each person's tasks, and nobody else's.

Sign in at Better Auth and send its JWT: `Authorization: Bearer <token>`. To try it here, get a token
(`GET /api/auth/token` at Better Auth, or `app token --user you` where a shared secret is set),
press **Authorize** and paste it. In a path, `me` is an alias for your own user id.
"""

Document = Callable[[], dict[str, Any]]


def document_of(handlers: Sequence[Any], version: str) -> Document:
    """Return a function that builds the document at its first call.

    The document comes from a separate application, which is never served. In the served application,
    Litestar's OpenAPI support would add its own pages and its own 404.
    """

    @lru_cache
    def document() -> dict[str, Any]:
        generated = Litestar(
            route_handlers=handlers, openapi_config=_config(version), logging_config=None
        ).openapi_schema
        schemas = generated.components.schemas = generated.components.schemas or {}
        schemas.update(COMPONENTS)
        generated.components.headers = {**HEADERS}
        _correct_responses(schemas)
        paths = generated.paths = dict(sorted((generated.paths or {}).items()))
        for path, item in paths.items():
            for method in METHODS:
                operation = getattr(item, method)
                if operation is not None and operation.security == BEARER:
                    add_errors(operation, method, path)
        return generated.to_schema()

    return document


def route_to(document: Document) -> HTTPRouteHandler:
    """Make the handler of `/openapi.json`."""

    @lru_cache
    def asset() -> Asset:
        return Asset(encode(document()), "application/json")

    @get_public("/openapi.json", include_in_schema=False)
    async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
        return asset().respond(request)

    return openapi


def _correct_responses(schemas: dict[str, Schema]) -> None:
    """Use references to named schemas, and remove defaults.

    Client generators treat a response member with a default as always present.
    """
    for name in ("BatchResult", "FieldError", "Problem"):
        for member in (schemas[name].properties or {}).values():
            if isinstance(member, Schema):
                member.default = None
    schemas["BatchResult"].properties = {**(schemas["BatchResult"].properties or {}), "task": TASK}


def _config(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Taskward API",
        version=version,
        description=DESCRIPTION,
        license=License(name="MIT", identifier="MIT"),
        tags=[
            Tag(name="Tasks", description="One person's tasks"),
            Tag(name="Health", description="For operators"),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="Better Auth's JWT: the token alone, without the word Bearer",
                )
            }
        ),
    )
