"""Compares each response that a test receives with the OpenAPI document: its headers, and its type of problem."""

import json
import re
from functools import lru_cache
from typing import Any, Final

import httpx

from app.api.requests.request import PROBLEM_JSON
from app.cli.openapi import render_document

GENERAL: Final = {
    *("cache-control", "connection", "content-length", "content-security-policy", "content-type"),
    *("strict-transport-security", "vary", "x-content-type-options"),
}
"""Headers that mean the same at every HTTP service, so the document does not list them."""

CORS_PREFIX: Final = "access-control-"  # the document does not list the headers of CORS


@lru_cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_document())
    return document


@lru_cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Return each path as a pattern. Paths with fewer parameters come first: `/tasks/{id}` also matches `/tasks/batch`."""
    paths = sorted(_document()["paths"].items(), key=lambda path: path[0].count("{"))
    return [(re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path) + "/?"), item) for path, item in paths]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Return the documented operation of a request; None if the service has none."""
    item = next((item for pattern, item in _operations() if pattern.fullmatch(path)), {})
    is_upper = method.isupper()  # methods of HTTP are case-sensitive
    operation: dict[str, Any] | None = item.get(method.lower()) if is_upper else None
    return operation


def slug_of(problem: dict[str, Any]) -> str:
    """Return the last part of a problem's type, which is a URL."""
    kind: str = problem["type"].rpartition("/")[2]
    return kind


def is_documented(operation: dict[str, Any], problem: dict[str, Any]) -> bool:
    """Return whether the document has an example of this problem for the operation and the status."""
    documented = operation["responses"].get(str(problem["status"]))
    examples = documented["content"][PROBLEM_JSON]["examples"].values() if documented else ()
    return slug_of(problem) in {slug_of(example["value"]) for example in examples}


def undocumented_headers(operation: dict[str, Any], response: httpx.Response) -> set[str]:
    """Return in lower case the headers that are sent and not documented, or documented as required and not sent."""
    documented_response = operation["responses"].get(str(response.status_code), {})
    references = documented_response.get("headers", {}).items()
    documented = {name.lower(): _header(reference) for name, reference in references}
    sent = {name for name in response.headers if not name.startswith(CORS_PREFIX)}
    required = {name for name, header in documented.items() if header.get("required")}
    return (sent - GENERAL - documented.keys()) | (required - sent)


def _header(reference: dict[str, str]) -> dict[str, Any]:
    header: dict[str, Any] = _document()["components"]["headers"][reference["$ref"].rpartition("/")[2]]
    return header


async def check_documented(response: httpx.Response) -> None:
    """Fail if the document does not show the response's problem or headers for its operation."""
    request = response.request
    operation = operation_of(request.method, request.url.path)
    if operation is None:
        return
    sent = f"{operation['operationId']} returned {response.status_code}"
    headers = undocumented_headers(operation, response)
    assert not headers, f"{sent}: the response and docs/openapi.json do not both have the headers {headers}"
    if response.headers.get("content-type") == PROBLEM_JSON:
        problem = json.loads(await response.aread())
        documented = is_documented(operation, problem)
        assert documented, f"{sent} {slug_of(problem)}, which docs/openapi.json does not show"
