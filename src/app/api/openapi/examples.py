"""Examples in the OpenAPI document: for every request body, response and error."""

import json
from http import HTTPStatus
from typing import Any, Final

from app.api.middleware.response_headers import PROBLEM_PAGES
from app.api.problems import INVALID_REQUEST, PRECONDITION_REQUIRED, PROBLEMS, Problem, of_status, type_of
from app.api.task_fields import READERS, TASK_FIELDS
from app.domain import errors as domain

Json = dict[str, Any]

TASK: Final[Json] = {name: field.examples[0] for name, field in TASK_FIELDS.items()}
_PATH: Final = f"/api/me/tasks/{TASK['id']}"

_NEXT: Final = "m9pX0c1sWm4Yt0uVxk8AAAAAAAAAACoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
_OTHERS: Final = [f"019a8f3e-9a10-7d2e-9b1f-6a0c5d7e8f0{number}" for number in range(1, 4)]

BODIES: Final[dict[str, Json]] = {
    "createTask": {
        "title only": {"title": "Water the plants"},
        "everything": {name: TASK_FIELDS[name].examples[-1] for name in READERS},
    },
    "updateTask": {  # PUT ignores read-only fields, so a client can send back what it got
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


def _document(problem: Problem, **more: Any) -> Json:
    return {
        "type": type_of(problem, PROBLEM_PAGES),
        "title": problem.title,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": _PATH,
        "request_id": "0d6c1f0e5d3b4a52a0f6b6f0f6c1d2e3",
        **more,
    }


def _example(problem: Problem, **more: Any) -> dict[str, Json]:
    return {"example": _document(problem, **more)}


_ETAG: Final = {"ETag": "The current version of the task"}
_RETRY: Final = {"Retry-After": "Seconds to wait"}
_LIMITS: Final = {
    "RateLimit-Policy": 'How many requests in a window: `"person";q=1200;w=60`, or `"address"`',
    "RateLimit": 'How many are left, and how many seconds the window: `"person";r=0;t=17`',
}
_ERRORS_OF_A_BODY: Final = [
    {"pointer": "/title", "detail": "must not be blank"},
    {"pointer": "/titel", "detail": "unknown field; did you mean `title`?"},
]
ERRORS: Final[dict[int, tuple[str, dict[str, Json], dict[str, str]]]] = {
    400: (
        "The request is not valid; `errors` has every error",
        _example(INVALID_REQUEST, errors=_ERRORS_OF_A_BODY),
        {},
    ),
    401: (
        "No token, or one that is not valid",
        _example(PROBLEMS[domain.NotAuthenticated]),
        {"WWW-Authenticate": "RFC 6750"},
    ),
    403: ("The path names another person's list", _example(PROBLEMS[domain.NotYours]), {}),
    404: ("No such task for this owner", _example(PROBLEMS[domain.TaskNotFound]), {}),
    406: (
        "`Accept` allows none of the media types of the response",
        _example(of_status(HTTPStatus.NOT_ACCEPTABLE)),
        {},
    ),
    408: (
        "The body did not arrive in time",
        _example(of_status(HTTPStatus.REQUEST_TIMEOUT)),
        {"Connection": "`close`"},
    ),
    409: (
        "The current state does not allow it",
        {
            "the list is full": _document(PROBLEMS[domain.TooManyTasks]),
            "the task is not in the trash": _document(PROBLEMS[domain.NotInTrash]),
            "the same request is still running": _document(PROBLEMS[domain.KeyInFlight]),
        },
        {"Retry-After": "Seconds to wait, where waiting helps"},
    ),
    410: (
        "The response stored under this Idempotency-Key is gone, or changes since this token are",
        {
            "the response is gone": _document(PROBLEMS[domain.AnswerGone]),
            "changes are gone": _document(PROBLEMS[domain.ChangesGone]),
        },
        {},
    ),
    412: ("The task has changed", _example(PROBLEMS[domain.TaskChanged]), _ETAG),
    413: (
        "The body is over 256 KB (a batch: 2 MB, and 256 KB for each operation)",
        _example(of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)),
        {},
    ),
    415: ("The body is not `application/json`", _example(of_status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)), {}),
    422: ("The Idempotency-Key belongs to another request", _example(PROBLEMS[domain.KeyReused]), {}),
    428: (
        "`If-Match` is required here (REQUIRE_IF_MATCH)",
        _example(PRECONDITION_REQUIRED),
        _ETAG,
    ),
    429: (
        "This person or this address has too many requests, keys, or bytes in flight",
        {
            "too many requests": _document(PROBLEMS[domain.TooManyRequests]),
            "responses are not read": _document(PROBLEMS[domain.AnswersNotTaken]),
            "bodies do not end": _document(PROBLEMS[domain.BodiesUnderWay]),
            "too many at once": _document(PROBLEMS[domain.TooManyAtOnce]),
            "too many event streams": _document(PROBLEMS[domain.TooManyStreams]),
            "too many keys": _document(PROBLEMS[domain.TooManyKeys]),
        },
        {**_RETRY, **_LIMITS},
    ),
    500: ("A bug", _example(of_status(HTTPStatus.INTERNAL_SERVER_ERROR)), {}),
    503: (
        "Try again later. Nothing was written, unless the type is `outcome-unknown`",
        {
            "the database is unavailable": _document(PROBLEMS[domain.DatabaseUnavailable]),
            "the database is not set up": _document(PROBLEMS[domain.DatabaseNotSetUp]),
            "a search took too long": _document(PROBLEMS[domain.SearchTooSlow]),
            "counting the tasks took too long": _document(PROBLEMS[domain.SummaryTooSlow]),
            "the connection was lost during a write": _document(PROBLEMS[domain.OutcomeUnknown]),
            "the sign-in service's keys are unavailable": _document(PROBLEMS[domain.KeysUnavailable]),
            "too many large bodies, responses or event streams": _document(PROBLEMS[domain.TooBusy]),
        },
        _RETRY,
    ),
}
