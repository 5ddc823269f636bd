"""The OpenAPI document says what the service does, and its committed copy says the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.api.middleware.response_headers import PROBLEMS_PATH
from app.api.openapi.error_responses import ERRORS, RAISED_BY
from app.api.openapi.examples import RESPONSES
from app.api.problems import PROBLEMS
from app.api.task_fields import READERS
from app.cli.openapi import render_document
from app.domain.errors import DomainError

DOCUMENT: dict[str, Any] = json.loads(render_document())
DOCS = Path(__file__).parent.parent.parent / "docs"
COMMITTED = DOCS / "openapi.json"
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict)
}
OWNED = {name: operation for name, operation in OPERATIONS.items() if "Tasks" in operation["tags"]}


def test_the_committed_document_is_what_the_service_says() -> None:
    assert COMMITTED.read_text() == render_document(), "run `make openapi`"


def test_it_is_openapi_3_1_and_holds_every_operation() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert set(OPERATIONS) == {
        "listTasks",
        "listChanges",
        "streamEvents",
        "summarizeTasks",
        "createTask",
        "batchTasks",
        "getTask",
        "updateTask",
        "deleteTask",
        "completeTask",
        "patchTask",
        "restoreTask",
        "moveTask",
        "health",
        "ready",
    }


def test_the_page_of_the_api_lists_every_route_on_tasks_and_every_field_that_a_client_sets() -> None:
    page = (DOCS / "api.md").read_text()
    routes = re.findall(r"^\| `([A-Z]+ /api/[^`?]+)", page, re.MULTILINE)
    (fields,) = re.findall(r"^\| `POST /api/\{user_id\}/tasks` `\{(.*?)\}`", page, re.MULTILINE)

    assert sorted(routes) == sorted(
        f"{method.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if operation in OWNED.values()
    )
    assert [name.rstrip("?") for name in fields.split(", ")] == list(READERS)


@pytest.mark.parametrize("name", OWNED)
def test_every_operation_on_tasks_asks_for_a_token_and_documents_each_error_with_an_example(
    name: str,
) -> None:
    answers = OWNED[name]["responses"]
    errors = {status: answer for status, answer in answers.items() if status >= "400"}

    expected = {"400", "401", "403", "406", "500", "503"}
    expected |= {"404"} if "{task_id}" in str([p["name"] for p in OWNED[name]["parameters"]]) else set()
    expected |= {"408", "413", "415"} if "requestBody" in OWNED[name] else set()
    assert OWNED[name]["security"] == [{"bearer": []}]
    assert expected <= set(errors) | {"404"}
    for status, answer in errors.items():
        content = answer["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert {example["value"]["status"] for example in content["examples"].values()} == {int(status)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_and_every_good_answer_has_an_example(name: str) -> None:
    operation = OPERATIONS[name]
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    answers = [
        content
        for status, answer in operation["responses"].items()
        if status < "300"
        for content in answer.get("content", {}).values()
    ]

    assert all(content["examples"] for content in [*bodies, *answers])


def test_every_type_of_problem_has_an_example() -> None:
    shown = {example["type"] for _, examples, _ in ERRORS.values() for example in examples.values()}

    assert {f"{PROBLEMS_PATH}/{problem.slug}" for problem in PROBLEMS.values()} <= shown


def problems_of(name: str, status: int) -> set[str]:
    """Return the slugs of the examples that an operation shows for a status."""
    content = OWNED[name]["responses"][str(status)]["content"]["application/problem+json"]
    return {example["value"]["type"].rpartition("/")[2] for example in content["examples"].values()}


@pytest.mark.parametrize(
    ("name", "status", "shown"),
    [
        ("listChanges", 410, {"changes-gone"}),
        ("streamEvents", 410, {"changes-gone"}),
        ("createTask", 410, {"answer-gone"}),
        ("createTask", 409, {"too-many-tasks", "key-in-flight"}),
        ("completeTask", 409, {"key-in-flight"}),
        ("restoreTask", 409, {"not-in-trash"}),
        ("batchTasks", 409, {"too-many-tasks", "not-in-trash", "key-in-flight"}),
        ("getTask", 429, {"too-many-requests", "too-many-at-once"}),
        ("streamEvents", 429, {"too-many-requests", "too-many-at-once", "too-many-streams"}),
        (
            "patchTask",
            429,
            {"too-many-requests", "too-many-at-once", "bodies-under-way"},
        ),
        ("getTask", 503, {"database-unavailable", "database-not-set-up", "keys-unavailable"}),
        (
            "deleteTask",
            503,
            {"database-unavailable", "database-not-set-up", "keys-unavailable", "outcome-unknown"},
        ),
    ],
)
def test_an_operation_shows_only_the_problems_that_it_can_raise(
    name: str, status: int, shown: set[str]
) -> None:
    assert problems_of(name, status) == shown


@pytest.mark.parametrize("error", RAISED_BY, ids=lambda error: error.__name__)
def test_a_problem_is_shown_by_each_operation_that_raises_it_and_by_no_other(
    error: type[DomainError],
) -> None:
    problem = PROBLEMS[error]
    status = problem.status.value

    assert RAISED_BY[error] <= OWNED.keys()
    for name in RAISED_BY[error]:
        assert problem.slug in problems_of(name, status)
    for name in OWNED.keys() - RAISED_BY[error]:
        assert str(status) not in OWNED[name]["responses"] or problem.slug not in problems_of(name, status)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert named <= set(DOCUMENT["components"]["schemas"])


def test_limits_are_the_domains() -> None:
    title = DOCUMENT["components"]["schemas"]["TaskCreate"]["properties"]["title"]

    assert (title["minLength"], title["maxLength"]) == (1, 255)


def test_no_member_of_a_body_or_an_answer_has_a_default() -> None:
    text = json.dumps({**DOCUMENT["components"]["schemas"], "Sort": None})

    assert '"default"' not in text  # a generated client sends it, and so wipes what was there


def test_members_of_answers_that_may_be_missing_are_not_required_and_the_others_are() -> None:
    optional = {
        (name, member)
        for name in ("Task", "BatchResult", "BatchResults", "Summary", "TagCount", "Fault", "Problem")
        for member in DOCUMENT["components"]["schemas"][name]["properties"]
        if member not in DOCUMENT["components"]["schemas"][name]["required"]
    }

    assert optional == {("BatchResult", "task"), ("Fault", "in"), ("Problem", "errors")}


def test_priority_and_sort_have_one_name_wherever_they_occur() -> None:
    components = DOCUMENT["components"]["schemas"]
    priority = {"$ref": "#/components/schemas/Priority"}
    query = {parameter["name"]: parameter["schema"] for parameter in OPERATIONS["listTasks"]["parameters"]}
    create = components["Batch"]["properties"]["operations"]["items"]["oneOf"][0]

    for shape in (components["Task"], components["TaskCreate"], components["TaskUpdate"], create):
        assert shape["properties"]["priority"] == priority
    assert components["TaskPatch"]["properties"]["priority"] == {"oneOf": [priority, {"type": "null"}]}
    assert (query["priority"], query["sort"]) == (priority, {"$ref": "#/components/schemas/Sort"})


@pytest.mark.parametrize("name", ["health", "ready"])
def test_health_needs_no_token_and_says_so(name: str) -> None:
    assert OPERATIONS[name]["security"] == []


def test_readiness_documents_what_it_says_while_a_part_is_unavailable() -> None:
    answer = OPERATIONS["ready"]["responses"]["503"]

    assert answer["content"]["application/json"]["examples"]["example"]["value"]["status"] == "unavailable"
    assert "Retry-After" in answer["headers"]


@pytest.mark.parametrize("name", OWNED)
def test_only_the_owner_in_the_path_is_filled_in_for_people_who_try_an_operation(name: str) -> None:
    filled = {
        parameter["name"]
        for parameter in OWNED[name]["parameters"]
        if "example" in parameter or "examples" in parameter or "examples" in parameter["schema"]
    }

    assert filled == {"user_id"}


OTHERS = ("streamEvents", "summarizeTasks")  # whose responses are no JSON of tasks


@pytest.mark.parametrize("name", [name for name, _ in RESPONSES if name in OWNED and name not in OTHERS])
def test_examples_of_tasks_keep_their_nulls(name: str) -> None:
    text = json.dumps(OWNED[name]["responses"])

    assert '"trashed_at": null' in text
