"""Error responses in the OpenAPI document: description, examples and headers of each status."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

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


def _document(problem: Problem, **more: Any) -> Json:
    return {
        "type": type_of(problem, PROBLEMS_PATH),
        "title": problem.title,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": "",  # `errors_of` puts the operation's path here
        "request_id": "0d6c1f0e5d3b4a52a0f6b6f0f6c1d2e3",
        **more,
    }


def _example(problem: Problem, **more: Any) -> dict[str, Json]:
    return {"example": _document(problem, **more)}


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides which errors an operation can return."""

    name: str
    method: str
    parameters: frozenset[str]
    has_body: bool
    streams: bool

    @property
    def reads(self) -> bool:
        """Whether it is safe (RFC 9110 §9.2.1)."""
        return self.method == "get"

    @property
    def keyed(self) -> bool:
        """Whether a client may repeat it with an Idempotency-Key."""
        return KEY_HEADER in self.parameters

    @property
    def conditional(self) -> bool:
        """Whether it writes tasks that a client may have read. A batch names them in its body."""
        return "If-Match" in self.parameters or self.name == "batchTasks"


def traits_of(operation: Operation, method: str) -> Traits:
    """Return the traits of an operation of the document."""
    responses = [one for one in (operation.responses or {}).values() if isinstance(one, OpenAPIResponse)]
    return Traits(
        operation.operation_id or "",
        method,
        frozenset(one.name for one in operation.parameters or () if isinstance(one, Parameter)),
        operation.request_body is not None,
        any(EVENT_STREAM in (one.content or {}) for one in responses),
    )


RAISED_BY: Final[Mapping[type[domain.DomainError], Callable[[Traits], bool]]] = {
    domain.TaskNotFound: lambda it: "task_id" in it.parameters or it.name == "batchTasks",
    domain.TooManyTasks: lambda it: it.name in ("createTask", "batchTasks"),
    domain.NotInTrash: lambda it: it.name in ("restoreTask", "batchTasks"),
    domain.KeyInFlight: lambda it: it.keyed,
    domain.KeyReused: lambda it: it.keyed,
    domain.ResponseGone: lambda it: it.keyed,
    domain.TooManyKeys: lambda it: it.keyed,
    domain.ChangesGone: lambda it: it.name in ("listChanges", "streamEvents"),
    domain.TooManyStreams: lambda it: it.streams,
    # The outermost middleware refuses any large response to GET; a batch is refused before it runs.
    domain.TooManyUnreadResponses: lambda it: (it.reads and not it.streams) or it.name == "batchTasks",
    domain.TooManyBodies: lambda it: it.has_body,
    domain.TooBusy: lambda it: it.reads or it.has_body,
    domain.TooManySearches: lambda it: "q" in it.parameters or it.name == "summarizeTasks",
    domain.SearchTooSlow: lambda it: "q" in it.parameters,
    domain.SummaryTooSlow: lambda it: it.name == "summarizeTasks",
    domain.OutcomeUnknown: lambda it: not it.reads,
}
"""Which operations raise an error. An error that is not here can come from each operation."""

_ANSWERED_BY: Final[Mapping[int, Callable[[Traits], bool]]] = {
    408: lambda it: it.has_body,
    412: lambda it: it.conditional,
    413: lambda it: it.has_body,
    415: lambda it: it.has_body,
    428: lambda it: it.conditional,
}
"""The same for statuses whose problems are not all errors of the domain."""

_ERRORS_OF_A_BODY: Final = [
    {"pointer": "/title", "detail": "must not be blank"},
    {"pointer": "/titel", "detail": "unknown field; did you mean `title`?"},
]
ERRORS: Final[dict[int, tuple[str, dict[str, Json], tuple[str, ...]]]] = {
    400: (
        "The request is not valid; `errors` has every error",
        _example(INVALID_REQUEST, errors=_ERRORS_OF_A_BODY),
        (),
    ),
    401: (
        "No token, or one that is not valid",
        _example(PROBLEMS[domain.NotAuthenticated]),
        ("WWW-Authenticate",),
    ),
    403: ("The path names another person's list", _example(PROBLEMS[domain.NotYours]), ()),
    404: ("No such task for this owner", _example(PROBLEMS[domain.TaskNotFound]), ()),
    406: (
        "`Accept` allows none of the media types of the response",
        _example(problem_of_status(HTTPStatus.NOT_ACCEPTABLE)),
        (),
    ),
    408: (
        "The body did not arrive in time",
        _example(problem_of_status(HTTPStatus.REQUEST_TIMEOUT)),
        ("Connection",),
    ),
    409: (
        "The current state does not allow the operation",
        {
            "the list is full": _document(PROBLEMS[domain.TooManyTasks]),
            "the task is not in the trash": _document(PROBLEMS[domain.NotInTrash]),
            "the same request is still running": _document(PROBLEMS[domain.KeyInFlight]),
        },
        ("Retry-After.sometimes",),
    ),
    410: (
        "The stored response no longer exists; or `since` is too old, or the operator restored a backup",
        {
            "the response is gone": _document(PROBLEMS[domain.ResponseGone]),
            "changes are gone": _document(PROBLEMS[domain.ChangesGone]),
        },
        (),
    ),
    412: (
        "`If-Match` names no current version of the task, or `If-None-Match: *` was sent and the task exists",
        {
            "the task has changed": _document(PROBLEMS[domain.TaskChanged]),
            "the task exists": _document(TASK_EXISTS),
        },
        ("ETag",),
    ),
    413: (
        "The body is over 256 KB (a batch: 2 MB, and 256 KB for each operation)",
        _example(problem_of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)),
        (),
    ),
    415: (
        "The body is not `application/json`, or it has a content coding",
        _example(problem_of_status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
        ("Accept-Encoding",),
    ),
    422: ("The Idempotency-Key belongs to another request", _example(PROBLEMS[domain.KeyReused]), ()),
    428: (
        "`If-Match` is required here (REQUIRE_IF_MATCH)",
        _example(PRECONDITION_REQUIRED),
        ("ETag",),
    ),
    429: (
        "A limit of this person or address is reached. The type of the problem says which limit",
        {
            "too many requests": _document(PROBLEMS[domain.TooManyRequests]),
            "responses are not read": _document(PROBLEMS[domain.TooManyUnreadResponses]),
            "bodies do not end": _document(PROBLEMS[domain.TooManyBodies]),
            "too many at once": _document(PROBLEMS[domain.TooManyAtOnce]),
            "too many event streams": _document(PROBLEMS[domain.TooManyStreams]),
            "too many keys": _document(PROBLEMS[domain.TooManyKeys]),
        },
        ("Retry-After",),
    ),
    500: ("A bug", _example(problem_of_status(HTTPStatus.INTERNAL_SERVER_ERROR)), ()),
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
            "too many searches and summaries": _document(PROBLEMS[domain.TooManySearches]),
        },
        ("Retry-After",),
    ),
}


def errors_of(traits: Traits, path: str) -> dict[int, dict[str, Json]]:
    """Return each status of an error that an operation can return, with its examples by their names.

    `path`: the path template of the operation, which the examples have with values.
    """
    instance = path.replace("{user_id}", "me").replace("{task_id}", str(TASK["id"]))
    never = [_document(PROBLEMS[error]) for error, raised in RAISED_BY.items() if not raised(traits)]
    shown = {
        status: {
            name: {**example, "instance": instance}
            for name, example in examples.items()
            if example not in never
        }
        for status, (_, examples, _) in sorted(ERRORS.items())
        if status not in _ANSWERED_BY or _ANSWERED_BY[status](traits)
    }
    return {status: examples for status, examples in shown.items() if examples}
