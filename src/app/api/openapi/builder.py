"""Builds operations of the OpenAPI document from their descriptions."""

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
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
from app.api.openapi.error_responses import ERRORS, errors_of, traits_of
from app.api.openapi.headers import headers_of
from app.api.requests.request import JSON, PROBLEM_JSON
from app.api.schemas import Problem

BEARER: Final = [{"bearer": list[str]()}]


@dataclass
class WholeExample(Example):
    """An example that keeps its nulls. Litestar drops nulls from what it writes."""

    def to_schema(self) -> dict[str, Any]:
        """Return the example as JSON."""
        return {"value": self.value}


def operation(  # noqa: PLR0913 - keyword arguments, clear at each call
    name: str,
    *,
    parameters: tuple[Parameter, ...] = (),
    body: str = "",
    body_required: bool = True,
    media_types: tuple[str, ...] = (JSON,),
    headers: tuple[str, ...] = (),
    can_be_unavailable: bool = False,
    public: bool = False,
    **handler: Any,
) -> dict[str, Any]:
    """Return keyword arguments for a handler's decorator, which describe its operation."""

    @dataclass
    class Described(Operation):
        """An operation with these parameters, bodies, responses and examples."""

        def __post_init__(self) -> None:
            self.parameters = list(parameters) or None
            self.security = [] if public else BEARER
            if body:
                media = OpenAPIMediaType(
                    schema=Reference(f"#/components/schemas/{body}"), examples=_named(examples.BODIES[name])
                )
                self.request_body = RequestBody(
                    content=dict.fromkeys(media_types, media), required=body_required
                )
            responses = self.responses = self.responses or {}
            for status, response in responses.items():
                if isinstance(response, Reference) or not status.startswith("2"):
                    continue
                for media in (response.content or {}).values():
                    media.examples = _named({"example": examples.RESPONSES[name, int(status)]})
                response.headers = {**(response.headers or {}), **headers_of(headers, counted=not public)}
            if any(parameter.name == "If-None-Match" for parameter in parameters):
                etag = [header for header in headers if header.startswith("ETag")]
                responses["304"] = OpenAPIResponse(
                    description="Not modified", headers=headers_of(etag, counted=not public)
                )
            if can_be_unavailable:  # the same schema as for 200
                responses["503"] = _unavailable(name)

    Described.__name__ = f"{name}Operation"
    if not public:  # makes Litestar add the schema of a problem to the components
        handler["responses"] = {500: ResponseSpec(Problem, generate_examples=False)}
    return {"operation_id": name, "operation_class": Described, **handler}


def _unavailable(name: str) -> OpenAPIResponse:
    shape = Schema(type=OpenAPIType.OBJECT, additional_properties=Schema(type=OpenAPIType.STRING))
    shown = _named({"example": examples.RESPONSES[name, 503]})
    return OpenAPIResponse(
        description="A part is unavailable",
        headers=headers_of(("Retry-After",), counted=False),
        content={JSON: OpenAPIMediaType(schema=shape, examples=shown)},
    )


def add_errors(operation: Operation, method: str, path: str) -> None:
    """Add every error response that an operation can give, as its method, parameters and body show."""
    operation.responses = operation.responses or {}
    traits = traits_of(operation, method)
    for status, shown in errors_of(traits, path).items():
        description, _, headers = ERRORS[status]
        if "If-Match" not in traits:  # a batch: its URL is not that of a task
            headers = tuple(name for name in headers if name != "ETag")
        media = OpenAPIMediaType(schema=Reference("#/components/schemas/Problem"), examples=_named(shown))
        operation.responses[str(status)] = OpenAPIResponse(
            description=description, headers=headers_of(headers, counted=True), content={PROBLEM_JSON: media}
        )


def _named(values: dict[str, Any]) -> dict[str, Example | Reference]:
    return {name: WholeExample(value=value) for name, value in values.items()}
