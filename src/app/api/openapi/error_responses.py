"""Error responses in the OpenAPI document: description, examples and headers of each status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from litestar.openapi.spec import OpenAPIResponse, Operation, Parameter

from app.api.middleware.response_headers import PROBLEMS_PATH
from app.api.openapi.examples import TASK, Json
from app.api.problems import (
    INVALID_REQUEST,
    PRECONDITION_REQUIRED,
    PROBLEMS,
    TASK_EXISTS,
    Problem,
    problem_of_status,
    type_of,
)
from app.api.requests.idempotency import KEY_HEADER
from app.api.requests.request import EVENT_STREAM
from app.domain import errors as domain


def traits_of(operation: Operation, method: str) -> set[str]:
    """Return what decides which errors an operation can return: its name, its parameters, and what it does.

    What it does is `read` (one response to GET), `stream` or `write`; and `body` if it takes one.
    """
    responses = [each for each in (operation.responses or {}).values() if isinstance(each, OpenAPIResponse)]
    is_stream = any(EVENT_STREAM in (response.content or {}) for response in responses)
    return {
        operation.operation_id or "",
        *(each.name for each in operation.parameters or () if isinstance(each, Parameter)),
        "stream" if is_stream else "read" if method == "get" else "write",
        *(["body"] if operation.request_body is not None else []),
    }


RAISED_BY: Final[Mapping[type[domain.DomainError], set[str]]] = {
    domain.TaskNotFound: {"task_id", "batchTasks"},
    domain.TooManyTasks: {"createTask", "batchTasks"},
    domain.NotInTrash: {"restoreTask", "batchTasks"},
    domain.KeyInFlight: {KEY_HEADER},
    domain.KeyReused: {KEY_HEADER},
    domain.ResponseGone: {KEY_HEADER},
    domain.TooManyKeys: {KEY_HEADER},
    domain.ChangesGone: {"listChanges", "streamEvents"},
    domain.TooManyStreams: {"stream"},
    # The outermost middleware refuses any large response to GET; a batch is refused before it runs.
    domain.TooManyUnreadResponses: {"read", "batchTasks"},
    domain.TooManyBodies: {"body"},
    domain.TooBusy: {"read", "stream", "body"},
    domain.TooManySearches: {"q", "summarizeTasks"},
    domain.SearchTooSlow: {"q"},
    domain.SummaryTooSlow: {"summarizeTasks"},
    domain.OutcomeUnknown: {"write"},
}
"""An operation raises an error if it has one of these traits. Every operation can raise all other errors."""

_ANSWERED_BY: Final[Mapping[int, set[str]]] = {
    408: {"body"},
    412: {"If-Match", "batchTasks"},
    413: {"body"},
    415: {"body"},
    428: {"If-Match", "batchTasks"},
}
"""An operation returns one of these statuses only if it has one of its traits. A batch has `if_match`."""

Example = type[domain.DomainError] | Problem | HTTPStatus
"""What an example shows: the problem of an error, a problem, or the problem of a status."""

ERRORS: Final[Mapping[int, tuple[str, Mapping[str, Example], tuple[str, ...]]]] = {
    400: ("The request is not valid; `errors` has every error", {"example": domain.InvalidTask}, ()),
    401: ("No token, or one that is not valid", {"example": domain.NotAuthenticated}, ("WWW-Authenticate",)),
    403: ("The path names another person's list", {"example": domain.NotYours}, ()),
    404: ("No such task for this owner", {"example": domain.TaskNotFound}, ()),
    406: (
        "`Accept` allows none of the media types of the response",
        {"example": HTTPStatus.NOT_ACCEPTABLE},
        (),
    ),
    408: ("The body did not arrive in time", {"example": HTTPStatus.REQUEST_TIMEOUT}, ("Connection",)),
    409: (
        "The current state does not allow the operation",
        {
            "the list is full": domain.TooManyTasks,
            "the task is not in the trash": domain.NotInTrash,
            "the same request is still running": domain.KeyInFlight,
        },
        ("Retry-After.sometimes",),
    ),
    410: (
        "The stored response no longer exists; or `since` is too old, or the operator restored a backup",
        {"the response is gone": domain.ResponseGone, "changes are gone": domain.ChangesGone},
        (),
    ),
    412: (
        "`If-Match` names no current version of the task, or `If-None-Match: *` was sent and the task exists",
        {"the task has changed": domain.TaskChanged, "the task exists": TASK_EXISTS},
        ("ETag",),
    ),
    413: (
        "The body is over 256 KB (a batch: 2 MB, and 256 KB for each operation)",
        {"example": HTTPStatus.REQUEST_ENTITY_TOO_LARGE},
        (),
    ),
    415: (
        "The body is not `application/json`, or it has a content coding",
        {"example": HTTPStatus.UNSUPPORTED_MEDIA_TYPE},
        ("Accept-Encoding",),
    ),
    422: ("The Idempotency-Key belongs to another request", {"example": domain.KeyReused}, ()),
    428: ("`If-Match` is required here (REQUIRE_IF_MATCH)", {"example": PRECONDITION_REQUIRED}, ("ETag",)),
    429: (
        "A limit of this person or address is reached. The type of the problem says which limit",
        {
            "too many requests": domain.TooManyRequests,
            "responses are not read": domain.TooManyUnreadResponses,
            "bodies do not end": domain.TooManyBodies,
            "too many at once": domain.TooManyAtOnce,
            "too many event streams": domain.TooManyStreams,
            "too many keys": domain.TooManyKeys,
        },
        ("Retry-After",),
    ),
    500: ("A bug", {"example": HTTPStatus.INTERNAL_SERVER_ERROR}, ()),
    503: (
        "Try again later. Nothing was written, unless the type is `outcome-unknown`",
        {
            "the database is unavailable": domain.DatabaseUnavailable,
            "the database is not set up": domain.DatabaseNotSetUp,
            "a search took too long": domain.SearchTooSlow,
            "counting the tasks took too long": domain.SummaryTooSlow,
            "the connection was lost during a write": domain.OutcomeUnknown,
            "the sign-in service's keys are unavailable": domain.KeysUnavailable,
            "too many large bodies, responses or event streams": domain.TooBusy,
            "too many searches and summaries": domain.TooManySearches,
        },
        ("Retry-After",),
    ),
}
"""The description of each status, its examples by their names, and the headers of its response."""

_ERRORS_OF_A_BODY: Final = [
    {"pointer": "/title", "detail": "must not be blank"},
    {"pointer": "/titel", "detail": "unknown field; did you mean `title`?"},
]


def errors_of(traits: set[str], path: str) -> dict[int, dict[str, Json]]:
    """Return each status of an error that an operation can return, with its examples by their names.

    `path`: the path template of the operation. The examples have the path with values.
    """
    instance = path.replace("{user_id}", "me").replace("{task_id}", str(TASK["id"]))
    impossible = [error for error, raising in RAISED_BY.items() if not raising & traits]
    shown = {
        status: {name: _document(one, instance) for name, one in examples.items() if one not in impossible}
        for status, (_, examples, _) in ERRORS.items()
        if _ANSWERED_BY.get(status, traits) & traits
    }
    return {status: documents for status, documents in shown.items() if documents}


def _document(example: Example, instance: str) -> Json:
    match example:
        case Problem():
            problem = example
        case HTTPStatus():
            problem = problem_of_status(example)
        case _:
            problem = PROBLEMS[example]
    errors = {"errors": _ERRORS_OF_A_BODY} if problem is INVALID_REQUEST else {}
    return {
        "type": type_of(problem, PROBLEMS_PATH),
        "title": problem.title,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": instance,
        "request_id": "0d6c1f0e5d3b4a52a0f6b6f0f6c1d2e3",
        **errors,
    }
