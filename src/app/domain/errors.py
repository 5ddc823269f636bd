"""The errors of the domain. `app.api.problems` gives each type its HTTP status, title and detail."""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID


class DomainError(Exception):
    """Base of the errors that a client gets as a problem document."""

    operation: int | None = None  # the number of the failed operation of a batch, from 0


@dataclass(eq=False)
class RetryLater(DomainError):
    """Nothing was done. The same request may succeed after a while."""

    retry_after: int = 1  # seconds


class Mistake(Enum):
    """What is wrong with a token, as far as the client may know."""

    NO_HEADER = auto()
    NO_BEARER = auto()
    PLACEHOLDER = auto()
    BEARER_TWICE = auto()
    NOT_A_JWT = auto()
    EXPIRED = auto()
    NOT_VALID = auto()


@dataclass(eq=False)
class NotAuthenticated(DomainError):
    """The bearer token is absent, malformed, expired or not ours."""

    reason: str  # for the log only: a client must not learn which key or claim would have passed
    mistake: Mistake = Mistake.NOT_VALID


class NotYours(DomainError):
    """The path names another person than the token."""


@dataclass(eq=False)
class TooManyRequests(RetryLater):
    """A person or an address has used up the requests of this window."""

    retry_after: int  # seconds


@dataclass(eq=False)
class TooManyUnreadResponses(RetryLater):
    """A person has reached the limit of large responses that the client has not read yet."""

    retry_after: int = 5  # seconds


class TooManyBodies(RetryLater):
    """A person has reached the limit of large request bodies in flight."""


class TooManyAtOnce(RetryLater):
    """A person has too many running and waiting statements, or the running ones take too long."""


@dataclass(eq=False)
class TooManyStreams(RetryLater):
    """A person has reached the limit of open event streams.

    The stream of a client that has disappeared ends within a minute: the server sends a comment after 15 s
    without an event, and the kernel closes a connection whose client accepts nothing for 30 s.
    """

    retry_after: int = 60  # seconds


class TooBusy(RetryLater):
    """The process is stopping, or has reached a limit: of large responses, large bodies or event streams."""


@dataclass(eq=False)
class TooManySearches(TooBusy):
    """A search or a summary waited too long for its turn, or too many wait. The database works."""

    retry_after: int = 5  # seconds: as long as it has waited, unless the queue was full


@dataclass(eq=False)
class TaskNotFound(DomainError):
    """The owner has no such task. Another owner's task is *also* not found."""

    task_id: UUID


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One field, and the rule of `app.domain` that it breaks."""

    field: str  # or a place in it, such as `tags/3`
    rule: str


@dataclass(eq=False)
class InvalidTask(DomainError):
    """One or more fields break a rule. `broken` has all of them."""

    broken: tuple[BrokenRule, ...]


@dataclass(eq=False)
class TaskChanged(DomainError):
    """The task has none of the expected versions. Nothing was written."""

    version: int  # its current version
    expected: frozenset[int]


@dataclass(eq=False)
class NotInTrash(DomainError):
    """The owner has the task, and it is not in the trash."""

    task_id: UUID


@dataclass(eq=False)
class TooManyTasks(DomainError):
    """The owner has reached the limit of tasks."""

    at_most: int  # tasks


class ChangesGone(DomainError):
    """Changes after this token may be missing: the client has to read all tasks again."""


class KeyInFlight(RetryLater):
    """Another request with this key is running."""


class KeyReused(DomainError):
    """The key was used for a request with another body."""


class ResponseGone(DomainError):
    """The request was done, and its response showed a task that has been deleted permanently."""


@dataclass(eq=False)
class TooManyKeys(RetryLater):
    """The owner has reached the limit of stored responses. No key is dropped early."""

    retry_after: int  # seconds until there is room for this response


@dataclass(eq=False)
class Unavailable(DomainError):
    """A dependency cannot be reached. Nothing was done, unless the type says otherwise."""

    reason: str  # for the log
    retry_after: int = 1  # seconds


class KeysUnavailable(Unavailable):
    """The keys that verify tokens cannot be fetched, so the token is neither accepted nor refused."""


class DatabaseUnavailable(Unavailable):
    """The database does not respond in time."""


@dataclass(eq=False)
class DatabaseNotSetUp(DatabaseUnavailable):
    """The database lacks a part that the service needs. Only the operator can repair that."""

    retry_after: int = 10  # seconds


class SearchTooSlow(Unavailable):
    """A search exceeded its time limit."""


class SummaryTooSlow(Unavailable):
    """Counting the tasks exceeded its time limit."""


class OutcomeUnknown(Unavailable):
    """A write was sent and not confirmed. It was done completely, or not at all."""
