"""The OpenAPI document says what the service does, and its committed copy says the same."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.openapi.spec import Operation, Parameter, RequestBody

from app.api.backpressure import PERSON_UNREAD_MAX, UNREAD_MAX, LargeResponses
from app.api.middleware.response_headers import EXPOSED, PROBLEMS_PATH
from app.api.openapi.builder import add_errors
from app.api.openapi.error_responses import ERRORS
from app.api.openapi.examples import RESPONSES, TASK
from app.api.problems import PROBLEMS
from app.api.task_fields import READERS
from app.cli.openapi import render_document
from app.composition import compose
from app.domain.errors import ChangesGone, TooManySearches
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.documented import operation_of, slug_of, undocumented_headers
from tests.support.in_process import client_of
from tests.support.people import People

DOCUMENT: dict[str, Any] = json.loads(render_document())
DOCS = Path(__file__).parent.parent.parent / "docs"
COMMITTED = DOCS / "openapi.json"
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict)
}
# The operations on a person's tasks.
OWNED = {name: operation for name, operation in OPERATIONS.items() if "Tasks" in operation["tags"]}


def test_the_committed_document_equals_that_of_the_service() -> None:
    assert COMMITTED.read_text() == render_document(), "run `make openapi`"


def test_the_document_is_openapi_3_1_and_has_every_operation() -> None:
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
def test_every_operation_on_tasks_requires_a_token_and_documents_each_error_with_an_example(
    name: str,
) -> None:
    answers = OWNED[name]["responses"]
    errors = {status: answer for status, answer in answers.items() if status >= "400"}
    parameters = {parameter["name"] for parameter in OWNED[name]["parameters"]}

    expected = {"400", "401", "403", "406", "500", "503"}
    expected |= {"404"} if "task_id" in parameters else set()
    expected |= {"408", "413", "415"} if "requestBody" in OWNED[name] else set()
    assert OWNED[name]["security"] == [{"bearer": []}]
    assert expected <= errors.keys()
    for status, answer in errors.items():
        content = answer["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert {example["value"]["status"] for example in content["examples"].values()} == {int(status)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_and_every_successful_response_has_an_example(name: str) -> None:
    operation = OPERATIONS[name]
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    answers = [
        content
        for status, answer in operation["responses"].items()
        if status < "300"
        for content in answer.get("content", {}).values()
    ]

    assert all(content["examples"] for content in [*bodies, *answers])


def test_every_error_of_the_domain_has_an_example() -> None:
    shown = [example for _, examples, _ in ERRORS.values() for example in examples.values()]

    assert [error for error in PROBLEMS if error not in shown] == []


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
        ("getTask", 429, {"too-many-requests", "too-many-at-once", "answers-not-taken"}),
        ("streamEvents", 429, {"too-many-requests", "too-many-at-once", "too-many-streams"}),
        (
            "patchTask",
            429,
            {"too-many-requests", "too-many-at-once", "bodies-under-way"},
        ),
        ("getTask", 503, {"database-unavailable", "database-not-set-up", "keys-unavailable", "too-busy"}),
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


KEYED = {"createTask", "batchTasks", "completeTask"}
WITH_BODY = {"createTask", "batchTasks", "updateTask", "patchTask", "moveTask", "completeTask"}
READS = {"listTasks", "listChanges", "streamEvents", "summarizeTasks", "getTask"}


@pytest.mark.parametrize(
    ("slug", "raised_by"),
    [
        ("too-many-tasks", {"createTask", "batchTasks"}),
        ("not-in-trash", {"restoreTask", "batchTasks"}),
        ("key-in-flight", KEYED),
        ("key-reused", KEYED),
        ("answer-gone", KEYED),
        ("too-many-keys", KEYED),
        ("changes-gone", {"listChanges", "streamEvents"}),
        ("too-many-streams", {"streamEvents"}),
        ("answers-not-taken", READS - {"streamEvents"} | {"batchTasks"}),
        ("bodies-under-way", WITH_BODY),
        ("too-busy", READS | WITH_BODY),
        ("search-too-slow", {"listTasks"}),
        ("summary-too-slow", {"summarizeTasks"}),
        ("outcome-unknown", OWNED.keys() - READS),
        ("task-not-found", OWNED.keys() - READS - {"createTask"} | {"getTask"}),
        ("task-changed", OWNED.keys() - READS - {"createTask"}),
        ("if-match-required", OWNED.keys() - READS - {"createTask"}),
        ("too-many-at-once", OWNED.keys()),
        ("too-many-requests", OWNED.keys()),
        ("keys-unavailable", OWNED.keys()),
    ],
)
def test_each_operation_documents_exactly_the_problems_that_it_raises(slug: str, raised_by: set[str]) -> None:
    shown_by = {
        name
        for name, operation in OWNED.items()
        for status in operation["responses"]
        if status >= "400" and slug in problems_of(name, int(status))
    }

    assert shown_by == raised_by


def test_only_a_list_and_a_summary_show_that_too_many_searches_are_running() -> None:
    text = PROBLEMS[TooManySearches].detail

    shown_by = {
        name for name, operation in OWNED.items() if text in json.dumps(operation["responses"].get("503"))
    }

    assert shown_by == {"listTasks", "summarizeTasks"}


def test_problems_of_one_type_have_one_title_and_one_status() -> None:
    """RFC 9457 §3.1.3: a title does not change from occurrence to occurrence."""
    shown = {(problem.slug, problem.title, problem.status) for problem in PROBLEMS.values()}

    assert len(shown) == len({problem.slug for problem in PROBLEMS.values()})


def test_a_new_operation_shows_the_errors_of_its_method_its_parameters_and_its_body() -> None:
    read, write = Operation(operation_id="newRead"), Operation(operation_id="newWrite")
    write.parameters = [Parameter(name="Idempotency-Key", param_in="header")]
    write.request_body = RequestBody(content={})

    add_errors(read, "get", "/api/{user_id}/tasks/{task_id}")
    add_errors(write, "post", "/api/{user_id}/tasks")

    assert {"answers-not-taken", "too-busy", "too-many-at-once"} <= slugs_in(read)
    assert {"bodies-under-way", "too-busy", "key-reused", "outcome-unknown"} <= slugs_in(write)
    assert {"408", "413", "415"} <= (write.responses or {}).keys()
    assert instances_in(read) == {f"/api/me/tasks/{TASK['id']}"}
    assert instances_in(write) == {"/api/me/tasks"}


def instances_in(operation: Operation) -> set[str]:
    """Return the paths that the examples of an operation have."""
    return set(re.findall(r'"instance": "([^"]+)"', json.dumps(operation.to_schema())))


def slugs_in(operation: Operation) -> set[str]:
    """Return the slugs of all problems that an operation shows."""
    return set(re.findall(rf'"type": "{PROBLEMS_PATH}/([a-z-]+)"', json.dumps(operation.to_schema())))


@pytest.mark.server
@pytest.mark.parametrize("path", ["", "/changes", "/{task_id}"])
async def test_each_large_response_to_get_can_be_refused_and_the_document_says_so(
    database_url: str, path: str
) -> None:
    """The client of `client_of` compares each problem with the document."""
    app = compose(Settings.from_env(environment_for(database_url)))
    large = app.app_state.large_responses
    async with client_of(app) as client:
        ann = People(client).one()
        task = await ann.create(description="🌱" * 10_000)
        url = f"/api/me/tasks{path.format(task_id=task['id'])}"

        async with unread(large, ann.user_id):
            of_person = await ann.ask("GET", url)
        async with unread(large, *(f"other {number}" for number in range(UNREAD_MAX // PERSON_UNREAD_MAX))):
            of_process = await ann.ask("GET", url)
        after = await ann.ask("GET", url)

    assert (of_person.status_code, slug_of(of_person.json())) == (429, "answers-not-taken")
    assert (of_process.status_code, slug_of(of_process.json())) == (503, "too-busy")
    assert after.status_code == 200


@asynccontextmanager
async def unread(large: LargeResponses, *people: str) -> AsyncIterator[None]:
    """Let each of these people have as many unread bytes as a person may have, until the block ends."""

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    sending = [
        asyncio.create_task(large.send(never, {}, b"x" * PERSON_UNREAD_MAX, person, public=False))  # type: ignore[arg-type]
        for person in people
    ]
    await asyncio.sleep(0)
    yield
    for task in sending:
        task.cancel()
    await asyncio.gather(*sending, return_exceptions=True)


def test_each_description_of_the_410_of_changes_names_both_causes() -> None:
    page = (DOCS / "api.md").read_text()
    descriptions = [
        *re.findall(r"^.*(?:410 `changes-gone`|^\| `resync` \|).*$", page, re.MULTILINE),
        *(OWNED[name]["responses"]["410"]["description"] for name in ("listChanges", "streamEvents")),
        OWNED["listChanges"]["description"],
        PROBLEMS[ChangesGone].detail,
    ]

    assert len(descriptions) == 6
    assert [text for text in descriptions if "too old" not in text or "restored a backup" not in text] == []


def test_every_reference_to_a_schema_has_a_target() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert named <= set(DOCUMENT["components"]["schemas"])


ALL_RESPONSES = [
    (name, status, answer)
    for name, operation in OPERATIONS.items()
    for status, answer in operation["responses"].items()
]


def test_each_response_documents_its_request_id() -> None:
    without = [
        (name, status) for name, status, answer in ALL_RESPONSES if "X-Request-ID" not in answer["headers"]
    ]

    assert without == []


def test_each_response_documents_the_rate_limit_except_those_of_health_which_is_not_limited() -> None:
    limits = {"RateLimit", "RateLimit-Policy"}

    counted = {name for name, _, answer in ALL_RESPONSES if limits <= answer["headers"].keys()}
    uncounted = {name for name, _, answer in ALL_RESPONSES if not limits & answer["headers"].keys()}

    assert counted == {*OWNED}
    assert uncounted == {"health", "ready"}


def test_a_304_has_the_entity_tag_of_the_200() -> None:
    tags = {
        name: {status: OWNED[name]["responses"][status]["headers"]["ETag"] for status in ("200", "304")}
        for name, status, _ in ALL_RESPONSES
        if status == "304"
    }

    assert tags.keys() == {"listTasks", "getTask"}
    assert [tag for tag in tags.values() if tag["200"] != tag["304"]] == []


def test_each_described_header_is_used_and_scripts_of_a_page_may_read_it() -> None:
    references = {
        (name, reference["$ref"].rpartition("/")[2])
        for _, _, answer in ALL_RESPONSES
        for name, reference in answer["headers"].items()
    }

    assert {name for _, name in references} == DOCUMENT["components"]["headers"].keys()
    assert {name for name, _ in references} - {"WWW-Authenticate", "Connection", "Accept-Encoding"} == {
        *EXPOSED.decode().split(", ")
    }


@pytest.mark.parametrize(
    ("path", "more", "fewer", "found"),
    [
        ("/api/me/tasks", {}, set(), set()),
        ("/api/me/tasks", {"x-new": "1"}, set(), {"x-new"}),
        ("/api/me/tasks", {"retry-after": "1"}, set(), {"retry-after"}),
        ("/api/me/tasks", {}, {"x-request-id"}, {"x-request-id"}),
        ("/api/me/tasks", {}, {"etag"}, {"etag"}),
        ("/health", {"ratelimit": "x"}, {"etag"}, {"ratelimit"}),
    ],
)
def test_the_client_of_the_tests_finds_a_header_that_the_document_or_the_response_lacks(
    path: str, more: dict[str, str], fewer: set[str], found: set[str]
) -> None:
    usual = {"x-request-id": "1", "vary": "Origin", "access-control-allow-origin": "x"}
    usual |= {"etag": '"1"'} if path != "/health" else {}
    sent = {name: value for name, value in {**usual, **more}.items() if name not in fewer}

    operation = operation_of("GET", path)
    assert operation is not None
    assert undocumented_headers(operation, httpx.Response(200, headers=sent)) == found


def test_the_document_has_the_limits_of_a_title() -> None:
    title = DOCUMENT["components"]["schemas"]["TaskCreate"]["properties"]["title"]

    assert (title["minLength"], title["maxLength"]) == (1, 255)


def test_no_member_of_a_body_or_a_response_has_a_default() -> None:
    text = json.dumps({**DOCUMENT["components"]["schemas"], "Sort": None})  # `Sort` describes a parameter

    assert '"default"' not in text  # a generated client would send the default and overwrite the stored value


def test_only_members_that_may_be_absent_from_a_response_are_not_required() -> None:
    optional = {
        (name, member)
        for name in ("Task", "BatchResult", "BatchResults", "Summary", "TagCount", "FieldError", "Problem")
        for member in DOCUMENT["components"]["schemas"][name]["properties"]
        if member not in DOCUMENT["components"]["schemas"][name]["required"]
    }

    assert optional == {("BatchResult", "task"), ("FieldError", "in"), ("Problem", "errors")}


def test_every_place_of_priority_and_sort_refers_to_one_schema() -> None:
    components = DOCUMENT["components"]["schemas"]
    priority = {"$ref": "#/components/schemas/Priority"}
    query = {parameter["name"]: parameter["schema"] for parameter in OPERATIONS["listTasks"]["parameters"]}
    create = components["Batch"]["properties"]["operations"]["items"]["oneOf"][0]

    for shape in (components["Task"], components["TaskCreate"], components["TaskUpdate"], create):
        assert shape["properties"]["priority"] == priority
    assert components["TaskPatch"]["properties"]["priority"] == {"oneOf": [priority, {"type": "null"}]}
    assert (query["priority"], query["sort"]) == (priority, {"$ref": "#/components/schemas/Sort"})


@pytest.mark.parametrize("name", ["health", "ready"])
def test_health_is_documented_as_public(name: str) -> None:
    assert OPERATIONS[name]["security"] == []


def test_readiness_documents_its_503_response() -> None:
    answer = OPERATIONS["ready"]["responses"]["503"]

    assert answer["content"]["application/json"]["examples"]["example"]["value"]["status"] == "unavailable"
    assert "Retry-After" in answer["headers"]


@pytest.mark.parametrize("name", OWNED)
def test_the_documentation_page_fills_in_only_the_user_id(name: str) -> None:
    filled = {
        parameter["name"]
        for parameter in OWNED[name]["parameters"]
        if "example" in parameter or "examples" in parameter or "examples" in parameter["schema"]
    }

    assert filled == {"user_id"}


WITHOUT_TASKS = ("streamEvents", "summarizeTasks")  # their responses have no JSON of tasks


@pytest.mark.parametrize(
    "name", [name for name, _ in RESPONSES if name in OWNED and name not in WITHOUT_TASKS]
)
def test_examples_of_tasks_keep_their_nulls(name: str) -> None:
    text = json.dumps(OWNED[name]["responses"])

    assert '"trashed_at": null' in text
