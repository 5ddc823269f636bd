"""The OpenAPI document says what the service does, and its committed copy says the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.document import written

DOCUMENT: dict[str, Any] = json.loads(written())
COMMITTED = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict)
}
OWNED = {name: operation for name, operation in OPERATIONS.items() if "Tasks" in operation["tags"]}


def test_the_committed_document_is_what_the_service_says() -> None:
    assert COMMITTED.read_text() == written(), "run `make openapi`"


def test_it_is_openapi_3_1_and_holds_every_operation() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert set(OPERATIONS) == {
        "listTasks",
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


@pytest.mark.parametrize("name", OWNED)
def test_every_operation_on_tasks_asks_for_a_token_and_documents_each_error_with_an_example(
    name: str,
) -> None:
    answers = OWNED[name]["responses"]
    errors = {status: answer for status, answer in answers.items() if status >= "400"}

    expected = {"400", "401", "403", "500", "503"}
    expected |= {"404"} if "{task_id}" in str([p["name"] for p in OWNED[name]["parameters"]]) else set()
    expected |= {"406", "413", "415"} if "requestBody" in OWNED[name] else set()
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


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert named <= set(DOCUMENT["components"]["schemas"])


def test_limits_are_the_domains() -> None:
    title = DOCUMENT["components"]["schemas"]["NewTask"]["properties"]["title"]

    assert (title["minLength"], title["maxLength"]) == (1, 255)
