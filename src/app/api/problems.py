"""Error responses: RFC 9457 problem documents. `PROBLEMS` has one for each domain error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request
from litestar.exceptions import HTTPException

from app import logs
from app.api import schemas
from app.api.context import RequestContext, context_of
from app.api.requests.request import (
    PROBLEM_JSON,
    ContentCodingRefused,
    EventsNotAccepted,
    MediaTypeRefused,
    TransferCodingRefused,
)
from app.api.responses import JsonResponse
from app.api.schemas import FieldError
from app.domain import errors as domain
from app.domain.task import ForeignTags, MissingVersions, NoTask
from app.quoting import quote

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Problem:
    """One type of error as clients see it."""

    status: HTTPStatus
    slug: str  # the tail of the problem's `type`; empty: about:blank
    title: str  # the same for every occurrence (RFC 9457 §3.1.3)
    detail: str  # what happened, and what to do
    headers: Mapping[str, str] = field(default_factory=dict)


PROBLEMS: Final[dict[type[domain.DomainError], Problem]] = {
    domain.NotAuthenticated: Problem(
        HTTPStatus.UNAUTHORIZED,
        "not-authenticated",
        "Sign in first",
        "Send a valid token of the sign-in service as `Authorization: Bearer <token>`.",
        {"www-authenticate": 'Bearer realm="taskward"'},
    ),
    domain.NotYours: Problem(
        HTTPStatus.FORBIDDEN,
        "not-yours",
        "Not your list",
        "The path names another person's list: use your own user id, or `me`.",
    ),
    domain.TooManyRequests: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-requests",
        "Too many requests",
        "Nothing was done. Wait for the time in Retry-After, and send requests less often.",
    ),
    domain.TooManyUnreadResponses: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "answers-not-taken",
        "Too many unread responses",
        "Nothing was done. Read the responses that you have already requested, or close their "
        "connections, first.",
    ),
    domain.TooManyBodies: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "bodies-under-way",
        "Too many large bodies at once",
        "Nothing was done. Send large bodies one after the other.",
    ),
    domain.TooManyAtOnce: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-at-once",
        "Too many requests at once",
        "Nothing was done. Wait for the responses to your other requests, then send this one again.",
    ),
    domain.TooManyStreams: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-streams",
        "Too many event streams",
        "You have as many open event streams as one person may have. Close one first.",
    ),
    domain.TooBusy: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too-busy",
        "Too busy for this request",
        "There are too many large requests or event streams now, and nothing was done. Try again after the "
        "time in Retry-After, or with fewer tasks.",
    ),
    domain.TooManySearches: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too-busy",
        "Too busy for this request",
        "Too many other searches and summaries are running, and this one was not started. Try again after "
        "the time in Retry-After.",
    ),
    domain.TaskNotFound: Problem(
        HTTPStatus.NOT_FOUND, "task-not-found", "No such task", "Your list has no task with this id."
    ),
    domain.InvalidTask: Problem(
        HTTPStatus.BAD_REQUEST,
        "invalid-request",
        "The request is not valid",
        "Correct the fields that `errors` names, and send the request again.",
    ),
    domain.TaskChanged: Problem(
        HTTPStatus.PRECONDITION_FAILED,
        "task-changed",
        "The task has changed",
        "The task was changed after you read it, and nothing was written. Read it again, then repeat "
        "your change if it still applies.",
    ),
    domain.NotInTrash: Problem(
        HTTPStatus.CONFLICT, "not-in-trash", "Not in the trash", "The task is in your list already."
    ),
    domain.TooManyTasks: Problem(
        HTTPStatus.CONFLICT,
        "too-many-tasks",
        "The list is full",
        "Your list and its trash have reached the maximum number of tasks. Delete some permanently first.",
    ),
    domain.ChangesGone: Problem(
        HTTPStatus.GONE,
        "changes-gone",
        "Your copy cannot be updated",
        "The copy is too old, or the operator restored a backup. Read all changes without `since` into an "
        "empty copy, and continue from `next`.",
    ),
    domain.KeyInFlight: Problem(
        HTTPStatus.CONFLICT,
        "key-in-flight",
        "This request is still running",
        "A request with this Idempotency-Key is still running. Repeat it after the time in Retry-After.",
    ),
    domain.KeyReused: Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "key-reused",
        "This key belongs to another request",
        "This Idempotency-Key was used for a different request. Use a new key for each new request.",
    ),
    domain.ResponseGone: Problem(
        HTTPStatus.GONE,
        "answer-gone",
        "The response is gone",
        "This request was done earlier and is not done again. Its response showed a task that has been "
        "deleted permanently since.",
    ),
    domain.TooManyKeys: Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-keys",
        "Too many stored responses",
        "Nothing was done. Try again after the time in Retry-After, or without an Idempotency-Key.",
    ),
    domain.KeysUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "keys-unavailable",
        "The token cannot be checked now",
        "The keys of the sign-in service cannot be fetched. Try again after the time in Retry-After.",
    ),
    domain.DatabaseUnavailable: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database-unavailable",
        "The database is unavailable",
        "The database does not respond, and nothing was written. Try again after the time in Retry-After.",
    ),
    domain.DatabaseNotSetUp: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database-not-set-up",
        "The database is not set up",
        "The database lacks a table, a view or a right that this service needs, and nothing was "
        "written. Tell the operator.",
    ),
    domain.SearchTooSlow: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "search-too-slow",
        "The search took too long",
        "The search was stopped at its time limit. Search for fewer or rarer words, or add a filter.",
    ),
    domain.SummaryTooSlow: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "summary-too-slow",
        "Counting the tasks took too long",
        "Counting was stopped at its time limit. There are too many tasks with too many tags.",
    ),
    domain.OutcomeUnknown: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "outcome-unknown",
        "The outcome is unknown",
        "The connection to the database was lost during a write. Check before you repeat the request, "
        "or repeat it with the same Idempotency-Key.",
    ),
}

PRECONDITION_REQUIRED: Final = Problem(
    HTTPStatus.PRECONDITION_REQUIRED,
    "if-match-required",
    "If-Match is required",
    "Send `If-Match` with the ETag of the task that you read, or `*` for any.",
)

TASK_EXISTS: Final = Problem(
    HTTPStatus.PRECONDITION_FAILED,
    "",
    HTTPStatus.PRECONDITION_FAILED.phrase,
    "The task exists, and `If-None-Match: *` allows a write only if it does not (RFC 9110 §13.1.2). Nothing "
    "was written. Leave the header out, or send `If-Match` with the ETag of the task that you read.",
)

INSTEAD_OF_TASK_CHANGED: Final = {MissingVersions: PRECONDITION_REQUIRED, NoTask: TASK_EXISTS}
"""The problem of a `TaskChanged` that was raised for another reason, by what the request expected."""

INVALID_REQUEST: Final = PROBLEMS[domain.InvalidTask]

MISTAKES: Final[Mapping[domain.Mistake, str]] = {
    domain.Mistake.NO_HEADER: "The request has no Authorization header. Send a token.",
    domain.Mistake.NO_BEARER: "Send one Authorization header of the form `Bearer <token>`.",
    domain.Mistake.PLACEHOLDER: "The token is the word `undefined`, `null` or `None`: the client had "
    "no token yet when it wrote the header.",
    domain.Mistake.BEARER_TWICE: "The word `Bearer` is there twice. Where a form or a library adds it, give "
    "the token alone.",
    domain.Mistake.NOT_A_JWT: "The token is not a JWT. If it is a session token of Better Auth, "
    "get a JWT from its /api/auth/token.",
    domain.Mistake.EXPIRED: "The token has expired. Get a new one from the sign-in service.",
    domain.Mistake.NOT_VALID: "The token is not valid here. Get one from the sign-in service of this API.",
}
"""Details of a 401. None of them says which key or claim would have passed, since a forger reads them too."""

DETAILS: Final[Mapping[object, str]] = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address. `/docs` lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not support this method. `Allow` lists those that "
    "it supports.",
    HTTPStatus.NOT_ACCEPTABLE: "Responses are JSON. Accept `application/json`.",
    EventsNotAccepted: "The response is an event stream. Accept `text/event-stream`.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time, and nothing was done. Send it again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large. Send at most 256 KB;"
    " in a batch at most 2 MB, and 256 KB for each operation.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send the body as `Content-Type: application/json`, in UTF-8.",
    TransferCodingRefused: "Send the body without `Transfer-Encoding`, or with `chunked` alone.",
    ContentCodingRefused: "Send the body uncompressed: without `Content-Encoding`.",
    HTTPStatus.BAD_REQUEST: "The request cannot be read. Send a host name as `Host`, and the whole body.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error occurred. Report the `request_id` to the "
    "operator.",
}


class InvalidRequest(Exception):
    """The request is invalid; `errors` has all validation errors."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)


class ProblemResponse(JsonResponse[schemas.Problem]):
    """A problem document. Sets its slug in the context, for `middleware/telemetry.py`."""

    content_type = (b"content-type", PROBLEM_JSON.encode())
    cache_control = (b"cache-control", b"no-store")  # the same request may succeed a moment later

    def __init__(
        self,
        context: RequestContext,
        problem: Problem,
        headers: Mapping[str, str] | None = None,
        *,
        errors: Sequence[FieldError] = (),
        detail: str = "",
    ) -> None:
        context.problem = problem.slug or "about:blank"
        status = int(problem.status)
        shown = schemas.Problem(
            type=type_of(problem, context.app.problem_base),
            title=problem.title,
            status=status,
            detail=detail or (detail_with_place(errors[0]) if errors else problem.detail),
            instance=context.instance,
            request_id=context.request_id,
            errors=tuple(errors),
        )
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in (headers or {}).items()]
        super().__init__(schemas.encode(shown), status=status, headers=tuple(lines))


def on_domain_error(request: Request[Any, Any, Any], error: domain.DomainError) -> ProblemResponse:
    """Answer a domain error with its problem document."""
    problem = PROBLEMS[type(error)]
    headers = dict(problem.headers)
    errors: Sequence[FieldError] = ()
    detail = ""
    match error:
        case domain.InvalidTask(broken=broken):
            errors = [FieldError(f"/{rule.field}", rule.rule) for rule in broken]
        case domain.RetryLater(retry_after=seconds):
            headers["retry-after"] = str(seconds)
        case domain.TaskChanged(version=version, expected=expected):
            problem = INSTEAD_OF_TASK_CHANGED.get(type(expected), problem)
            if error.operation is None:  # the URL of a batch is not that of the task
                headers["etag"] = f'"{version}"'
            detail = _explain_tags(expected.sent) if isinstance(expected, ForeignTags) else ""
        case domain.Unavailable(reason=reason, retry_after=seconds):
            headers["retry-after"] = str(seconds)
            # A flood of tokens with unknown keys must not flood the log. `app.infra.auth.jwks` logs once that
            # the keys are unavailable.
            write = logs.explain_refusal if isinstance(error, domain.KeysUnavailable) else log.warning
            write(problem.slug, reason=reason)
        case domain.NotAuthenticated(reason=reason, mistake=mistake):
            logs.explain_refusal(problem.slug, reason)
            detail = MISTAKES[mistake]
            if mistake is not domain.Mistake.NO_HEADER:  # RFC 6750 §3.1: no error code without credentials
                headers["www-authenticate"] += f', error="invalid_token", error_description="{detail}"'
    if error.operation is not None:
        errors, detail = [FieldError(f"/operations/{error.operation}", detail or problem.title)], ""
    return ProblemResponse(context_of(request.scope), problem, headers, errors=errors, detail=detail)


def _explain_tags(sent: str) -> str:
    """Explain entity tags that can match no task: reading the task again would not help the client."""
    return (
        f"`If-Match` was `{quote(sent)}`, which no task ever matches. A weak entity tag never matches (RFC "
        '9110 §13.1.1), nor does one of another service: the tags of this one are versions, as `"3"`. '
        "Nothing was written."
    )


def on_invalid_request(request: Request[Any, Any, Any], error: InvalidRequest) -> ProblemResponse:
    """Answer an invalid request with all its validation errors."""
    return ProblemResponse(context_of(request.scope), INVALID_REQUEST, errors=error.errors)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> ProblemResponse:
    """Answer an HTTP error, such as an unknown route, a wrong method, or a body that is too large."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if "allow" in headers:
        headers["allow"] = allow_header(headers["allow"].split(", "))
    problem = problem_of_status(HTTPStatus(error.status_code))
    detail = error.detail if isinstance(error, MediaTypeRefused) else DETAILS.get(type(error), "")
    return ProblemResponse(context_of(request.scope), problem, headers, detail=detail)


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> ProblemResponse:
    """Answer a bug with 500. Its place in the code goes to the log; the client learns nothing about it."""
    log.error("unexpected error", error=logs.describe_error(error))
    return ProblemResponse(context_of(request.scope), problem_of_status(HTTPStatus.INTERNAL_SERVER_ERROR))


def problem_of_status(status: HTTPStatus) -> Problem:
    """Return the `about:blank` problem of a status (RFC 9457 §4.2.1)."""
    is_too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    title = "Content Too Large" if is_too_large else status.phrase  # RFC 9110
    return Problem(status, "", title, DETAILS.get(status, DETAILS[HTTPStatus.BAD_REQUEST]))


def allow_header(methods: Sequence[str]) -> str:
    """Return the value of `Allow`, with HEAD wherever GET is, and OPTIONS everywhere."""
    every = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return ", ".join(sorted(every))


def detail_with_place(error: FieldError) -> str:
    """Return a validation error with its place, for `detail`: many clients show `detail` alone."""
    place = error.pointer.removeprefix("/") or error.in_
    return f"{place}: {error.detail}"


def type_of(problem: Problem, base: str) -> str:
    """Return the URI of a problem's type, which a person can open (RFC 9457 §3.1.1)."""
    return f"{base}/{problem.slug}" if problem.slug else "about:blank"
