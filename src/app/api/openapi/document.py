"""The OpenAPI document: made from the handlers, and from what `app.api.openapi.operations` says of them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, Reference, Schema, SecurityScheme, Tag

from app.api.openapi.bodies import COMPONENTS, PRIORITY
from app.api.responses import PUBLIC
from app.api.schemas import encode

TASK: Final = Reference("#/components/schemas/Task")
LEAD: Final = """Each person's tasks, and nobody else's.

Sign in at Better Auth and send its JWT: `Authorization: Bearer <token>`. To try it here, get a token
(`GET /api/auth/token` at Better Auth, or `app token --user you` where a shared secret is set),
press **Authorize** and paste it. In a path, `me` stands for your own user id.
"""

Document = Callable[[], dict[str, Any]]


def document_of(handlers: Sequence[Any], version: str) -> Document:
    """Return what makes the document, when it is first asked for.

    It comes from an application of its own that is never served: Litestar's would add pages and a
    404 of its own making to the one that is.
    """

    @lru_cache
    def document() -> dict[str, Any]:
        described = Litestar(
            route_handlers=handlers,
            openapi_config=_config(version),
            logging_config=None,
        ).openapi_schema
        schemas = described.components.schemas = described.components.schemas or {}
        schemas.update(COMPONENTS)
        _correct_answers(schemas)
        described.paths = dict(sorted((described.paths or {}).items()))
        return described.to_schema()

    return document


def route_to(document: Document) -> HTTPRouteHandler:
    """Make the handler of `/openapi.json`."""

    @get("/openapi.json", opt=PUBLIC, include_in_schema=False)
    async def openapi() -> Response[bytes]:
        return Response(
            encode(document()), media_type="application/json", headers={"cache-control": "no-cache"}
        )

    return openapi


def _correct_answers(schemas: dict[str, Schema]) -> None:
    """Name what has a name, and give no defaults to answers: what has one counts as always there."""
    for name in ("BatchResult", "Fault", "Problem"):
        for member in (schemas[name].properties or {}).values():
            if isinstance(member, Schema):
                member.default = None
    schemas["Task"].properties = {**(schemas["Task"].properties or {}), "priority": PRIORITY}
    schemas["BatchResult"].properties = {**(schemas["BatchResult"].properties or {}), "task": TASK}


def _config(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Taskward API",
        version=version,
        description=LEAD,
        license=License(name="MIT", identifier="MIT"),
        tags=[
            Tag(name="Tasks", description="One person's tasks"),
            Tag(name="Health", description="For operators"),
        ],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", bearer_format="JWT", description="Better Auth's JWT"
                )
            },
        ),
    )
