"""Examples in the OpenAPI document: of request bodies, and of responses that are not problem documents."""

import json
from typing import Any, Final

from app.api.task_fields import READERS, TASK_FIELDS

Json = dict[str, Any]

TASK: Final[Json] = {name: field.examples[0] for name, field in TASK_FIELDS.items()}
_NEXT: Final = "m9pX0c1sWm4Yt0uVxk8AAAAAAAAAACoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_OTHERS: Final = [f"019a8f3e-9a10-7d2e-9b1f-6a0c5d7e8f0{number}" for number in range(1, 4)]

BODIES: Final[dict[str, Json]] = {
    "createTask": {
        "title only": {"title": "Water the plants"},
        "everything": {name: TASK_FIELDS[name].examples[-1] for name in READERS},
    },
    "updateTask": {  # a client can send back the whole task that it got, with its read-only fields
        "one field": {"title": "Water all the plants"},
        "no description any more": {"description": None},
        "the whole task": {**TASK, "completed": True},
    },
    "patchTask": {
        "one field": {"title": "Water all the plants"},
        "no due date any more": {"due": None},
        "tags": {"tags": ["home"], "priority": "high"},
    },
    "moveTask": {
        "before another": {"before": "019a8f3e-9a10-7d2e-9b1f-6a0c5d7e8f01"},
        "after another": {"after": "019a8f3e-9a10-7d2e-9b1f-6a0c5d7e8f01"},
    },
    "batchTasks": {
        "create two": {
            "operations": [
                {"op": "create", "title": "Water the plants", "tags": ["home"]},
                {"op": "create", "title": "Feed the cat", "priority": "high"},
            ]
        },
        "one of each": {
            "operations": [
                {"op": "create", "title": "Water the plants", "tags": ["home"]},
                {"op": "update", "id": TASK["id"], "if_match": '"1"', "due": None},
                {"op": "complete", "id": _OTHERS[0]},
                {"op": "delete", "id": _OTHERS[1]},
                {"op": "restore", "id": _OTHERS[2]},
            ]
        },
    },
    "completeTask": {"complete": {"completed": True}, "reopen": {"completed": False}},
}

_COMPLETED: Final = {"completed": True, "completed_at": "2026-01-07T19:12:44.000512Z", "version": 2}
_ALL_OK: Final = {"status": "ok", "database": "ok", "keys": "ok", "process": "ok"}
_CHANGES: Final = {"changes": [{"id": TASK["id"], "task": TASK}], "next": "…", "more": False}
EVENTS: Final = (
    'retry: 2741\nid: …\nevent: ready\ndata: {"reach": "machine"}\n\n'
    f"id: …\nevent: changes\ndata: {json.dumps(_CHANGES)}\n\n"
)
RESPONSES: Final[dict[tuple[str, int], Any]] = {
    ("listTasks", 200): [TASK],
    ("streamEvents", 200): EVENTS,
    ("summarizeTasks", 200): {
        "open": 12,
        "done": 30,
        "overdue": 1,
        "due_today": 2,
        "tags": [{"tag": "Garden", "open": 1, "done": 0}, {"tag": "home", "open": 3, "done": 8}],
        "tags_left_out": 0,
    },
    ("listChanges", 200): {
        "changes": [{"id": TASK["id"], "task": TASK}, {"id": _OTHERS[0], "task": None}],
        "next": _NEXT,
        "more": False,
    },
    ("createTask", 201): TASK,
    ("batchTasks", 200): {
        "results": [
            {"status": 201, "task": TASK},
            {"status": 200, "task": {**TASK, "due": None, "version": 2}},
            {"status": 200, "task": {**TASK, **_COMPLETED, "id": _OTHERS[0]}},
            {"status": 204},
            {"status": 200, "task": {**TASK, "id": _OTHERS[2], "version": 3}},
        ]
    },
    ("getTask", 200): TASK,
    ("updateTask", 200): {**TASK, "title": "Water all the plants", "version": 2},
    ("patchTask", 200): {**TASK, "title": "Water all the plants", "version": 2},
    ("restoreTask", 200): {**TASK, "version": 3},
    ("moveTask", 200): {**TASK, "position": "f9b82c1f6a4c84W2pH", "version": 2},
    ("completeTask", 200): {**TASK, **_COMPLETED},
    ("health", 200): {"status": "ok"},
    ("ready", 200): _ALL_OK,
    ("ready", 503): {**_ALL_OK, "status": "unavailable", "database": "unavailable"},
}
