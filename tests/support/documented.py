"""Checks that the OpenAPI document has an example of each problem that a test receives."""

import json
import re
from functools import lru_cache
from typing import Any

import httpx

from app.api.problems import MEDIA_TYPE
from app.cli.openapi import render_document


@lru_cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Return each path as a pattern. Paths with fewer parameters come first: `/tasks/{id}` also matches `/tasks/batch`."""
    paths = sorted(json.loads(render_document())["paths"].items(), key=lambda path: path[0].count("{"))
    return [(re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path) + "/?"), item) for path, item in paths]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """Return the documented operation of a request; None if the service has none."""
    item = next((item for pattern, item in _operations() if pattern.fullmatch(path)), {})
    operation: dict[str, Any] | None = item.get(method.lower()) if method.isupper() else None
    return operation


def slug_of(problem: dict[str, Any]) -> str:
    """Return the last part of a problem's type, which is a URL."""
    kind: str = problem["type"].rpartition("/")[2]
    return kind


def is_documented(operation: dict[str, Any], problem: dict[str, Any]) -> bool:
    """Return whether the document has an example of this problem for the operation and the status."""
    documented = operation["responses"].get(str(problem["status"]))
    examples = documented["content"][MEDIA_TYPE]["examples"].values() if documented else ()
    return slug_of(problem) in {slug_of(example["value"]) for example in examples}


async def check_documented(response: httpx.Response) -> None:
    """Fail if the response is a problem that the document does not show for its operation."""
    request = response.request
    operation = operation_of(request.method, request.url.path)
    if operation is None or response.headers.get("content-type") != MEDIA_TYPE:
        return
    problem = json.loads(await response.aread())
    occurrence = f"{operation['operationId']} can return {response.status_code} {slug_of(problem)}"
    assert is_documented(operation, problem), f"{occurrence}, which docs/openapi.json does not show"
