"""The errors of the domain.

DomainError
├── NotAuthenticated       there is no token, or it cannot be verified
├── NotYours               the path names another person's list
├── TooManyRequests        the person or the address sends too many requests
├── AnswersNotTaken        the person does not read large responses
├── BodiesUnderWay         the person sends too many bytes at once
├── TooManyAtOnce          the person has too many statements running and waiting
├── TooBusy                too many others do either
├── TaskNotFound           the person has no such task
├── InvalidTask            one or more fields break a rule
├── TaskChanged            the task has another version than expected
├── NotInTrash             the task to restore is not in the trash
├── TooManyTasks           the owner's list is full
├── ChangesGone            changes after the client's token are no longer known
├── KeyInFlight            a request with the same key is running
├── KeyReused              the key belongs to another request
├── AnswerGone             the key's request was done, and its response is deleted
├── TooManyKeys            the person has reached the limit of stored responses
└── Unavailable            a dependency cannot be reached now
    ├── KeysUnavailable        the token issuer's keys
    ├── DatabaseUnavailable    the database
    │   └── DatabaseNotSetUp       a table, a view, a right or a policy is missing
    ├── SearchTooSlow          the database did not finish a search in time
    ├── SummaryTooSlow         the database did not finish counting in time
    └── OutcomeUnknown         the database may or may not have written

Errors have no HTTP status and no text for users: `app.api.problems` gives each type its status, title and
detail.
"""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID


class DomainError(Exception):
    """Base of all errors that are raised on purpose."""

    operation: int | None = None  # the number of the failed operation of a batch, from 0


class Mistake(Enum):
    """What is wrong with a token, as far as the client may know."""

    NO_HEADER = auto()
    NO_BEARER = auto()
    NOT_A_JWT = auto()
    EXPIRED = auto()
    NOT_BELIEVED = auto()


@dataclass(eq=False)
class NotAuthenticated(DomainError):
    """The bearer token is absent, malformed, expired or not ours."""

    reason: str  # for the log only: a client must not learn which key or claim would have passed
    mistake: Mistake = Mistake.NOT_BELIEVED


@dataclass(eq=False)
class NotYours(DomainError):
    """The path names another person than the token."""


@dataclass(eq=False)
class TooManyRequests(DomainError):
    """A person or an address has used up the requests of this window."""

    retry_after: int  # seconds


@dataclass(eq=False)
class AnswersNotTaken(DomainError):
    """A person has reached the limit of large responses that are not read yet."""

    retry_after: int = 5  # seconds


@dataclass(eq=False)
class BodiesUnderWay(DomainError):
    """A person has reached the limit of large request bodies in flight."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class TooManyAtOnce(DomainError):
    """A person has reached the limit of running and waiting statements. Nothing was done."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class TooBusy(DomainError):
    """The process has reached its limit of large responses or large bodies in flight."""

    retry_after: int = 1  # seconds


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

    at_most: int


@dataclass(eq=False)
class ChangesGone(DomainError):
    """Changes after this token are no longer known: the client has to read all of them again."""


@dataclass(eq=False)
class KeyInFlight(DomainError):
    """A request with this key is running."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class KeyReused(DomainError):
    """The key was used for a request with another body."""


@dataclass(eq=False)
class AnswerGone(DomainError):
    """The request was done, and its response showed a task that has been deleted permanently."""


@dataclass(eq=False)
class TooManyKeys(DomainError):
    """The owner has reached the limit of stored responses. No key is dropped early."""

    retry_after: int  # seconds until there is room for this response


@dataclass(eq=False)
class Unavailable(DomainError):
    """A dependency cannot be reached. Nothing was done, unless the type says otherwise."""

    reason: str  # for the log
    retry_after: int = 1  # seconds


class KeysUnavailable(Unavailable):
    """The keys to verify a token with cannot be fetched, so it is neither accepted nor refused."""


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
