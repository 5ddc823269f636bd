"""What makes an operation of the OpenAPI document out of what is said of it."""

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from app.api.openapi import examples
from app.api.problems import MEDIA_TYPE
from app.api.requests.request import JSON
from app.api.schemas import Problem

STRING: Final = OpenAPIType.STRING


@dataclass
class WholeExample(Example):
    """An example with its nulls, which Litestar leaves out of whatever it writes."""

    def to_schema(self) -> dict[str, Any]:
        """Return it."""
        return {"value": self.value}


def operation(  # noqa: PLR0913 - keywords, each read at its one call
    name: str,
    *,
    parameters: tuple[Parameter, ...] = (),
    body: str = "",
    body_required: bool = True,
    media_types: tuple[str, ...] = (JSON,),
    errors: tuple[int, ...] = (),
    headers: dict[str, str] | None = None,
    not_modified: bool = False,
    unavailable: bool = False,
    **handler: Any,
) -> dict[str, Any]:
    """Return the keyword arguments of a handler's decorator."""

    @dataclass
    class Described(Operation):
        """An operation whose parameters, bodies, answers and examples are said here."""

        def __post_init__(self) -> None:
            self.parameters = list(parameters) or None
            self.security = self.security or []  # said: this needs no token
            if body:
                media = OpenAPIMediaType(
                    schema=Reference(f"#/components/schemas/{body}"), examples=_named(examples.BODIES[name])
                )
                self.request_body = RequestBody(
                    content=dict.fromkeys(media_types, media), required=body_required
                )
            for status, answer in (self.responses or {}).items():
                if isinstance(answer, Reference) or not status.startswith("2"):
                    continue
                for media in (answer.content or {}).values():
                    media.examples = _named({"example": examples.ANSWERS[name, int(status)]})
                for header, says in (headers or {}).items():
                    answer.headers = {
                        **(answer.headers or {}),
                        header: OpenAPIHeader(schema=Schema(type=STRING), description=says),
                    }
            if not_modified:
                self.responses = {
                    **(self.responses or {}),
                    "304": OpenAPIResponse(description="Not modified"),
                }
            if unavailable:  # the same shape as where all is well
                self.responses = {**(self.responses or {}), "503": _unavailable(name)}
            self.responses = {**(self.responses or {}), **{str(status): _error(status) for status in errors}}

    Described.__name__ = f"{name}Operation"
    if errors:  # makes Litestar put the shape of a problem among the components
        handler["responses"] = {errors[0]: ResponseSpec(Problem, generate_examples=False)}
    return {"operation_id": name, "operation_class": Described, **handler}


def _unavailable(name: str) -> OpenAPIResponse:
    shape = Schema(type=OpenAPIType.OBJECT, additional_properties=Schema(type=STRING))
    return OpenAPIResponse(
        description="A part is unavailable",
        headers={"Retry-After": OpenAPIHeader(schema=Schema(type=STRING), description="Seconds to wait")},
        content={
            JSON: OpenAPIMediaType(schema=shape, examples=_named({"example": examples.ANSWERS[name, 503]}))
        },
    )


def _error(status: int) -> OpenAPIResponse:
    says, problems, headers = examples.ERRORS[status]
    return OpenAPIResponse(
        description=says,
        headers={
            name: OpenAPIHeader(schema=Schema(type=STRING), description=text)
            for name, text in headers.items()
        }
        or None,
        content={
            MEDIA_TYPE: OpenAPIMediaType(
                schema=Reference("#/components/schemas/Problem"), examples=_named(problems)
            )
        },
    )


def _named(values: dict[str, Any]) -> dict[str, Example | Reference]:
    return {name: WholeExample(value=value) for name, value in values.items()}
