"""Everything that can go wrong, as types.

DomainError
├── NotAuthenticated       there is no token, or it cannot be verified
├── NotYours               the path names another person's list
├── TooManyRequests        the person or the address sends too many requests
├── AnswersNotTaken        the person does not read large responses
├── BodiesUnderWay         the person sends too many bytes at once
├── TooManyAtOnce          the person has too many statements running and waiting
├── TooBusy                too many others do either
├── TaskNotFound           no such task in the asker's list
├── InvalidTask            one or more fields break a rule
├── TaskChanged            the task is no longer what the asker saw
├── NotInTrash             the task to be restored is in the list already
├── TooManyTasks           the owner's list is full
├── KeyInFlight            the same request, under the same key, is being answered
├── KeyReused              the key belongs to another request
├── AnswerGone             the key's request was done, and its response is deleted
├── TooManyKeys            the person has as many keys as may be stored
└── Unavailable            a dependency cannot be reached now
    ├── KeysUnavailable        the token issuer's keys
    ├── DatabaseUnavailable    the database
    │   └── DatabaseNotSetUp       a table, a view, a right or a policy is missing
    ├── SearchTooSlow          the database did not finish a search in time
    └── OutcomeUnknown         the database may or may not have written

An error carries facts, never an HTTP status and never prose for the end user:
`app.api.problems` gives each type its one status, title and wording.
"""

from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID


class DomainError(Exception):
    """Base of every error that is raised on purpose."""

    operation: int | None = None  # of a batch, counted from 0, if it was one that could not be done


class Mistake(Enum):
    """What is wrong with the token of a request, as far as the caller learns it."""

    NO_HEADER = auto()
    NO_BEARER = auto()
    NOT_A_JWT = auto()
    EXPIRED = auto()
    NOT_BELIEVED = auto()


@dataclass(eq=False)
class NotAuthenticated(DomainError):
    """The bearer token is absent, malformed, expired or not ours."""

    reason: str  # for the log; the caller never learns which key or claim would have passed
    mistake: Mistake = Mistake.NOT_BELIEVED


@dataclass(eq=False)
class NotYours(DomainError):
    """The path names an owner who is not the asker."""


@dataclass(eq=False)
class TooManyRequests(DomainError):
    """A person or an address has used up the requests of this window."""

    retry_after: int  # seconds


@dataclass(eq=False)
class AnswersNotTaken(DomainError):
    """Somebody has as much of large answers on its way to them as anyone may, and does not take it."""

    retry_after: int = 5  # seconds


@dataclass(eq=False)
class BodiesUnderWay(DomainError):
    """Somebody has as much of large bodies on its way here as anyone may."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class TooManyAtOnce(DomainError):
    """Somebody has as many statements under way, and waiting, as anyone may. Nothing was done."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class TooBusy(DomainError):
    """All the room for large answers, or for large bodies, is taken by others."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class TaskNotFound(DomainError):
    """The owner has no such task. Another owner's task is *also* not found."""

    task_id: UUID


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One field, and the rule of `app.domain` that it breaks."""

    field: str  # or a place in it, as in `tags/3`
    rule: str


@dataclass(eq=False)
class InvalidTask(DomainError):
    """One or more fields break a rule; all of them are named."""

    broken: tuple[BrokenRule, ...]


@dataclass(eq=False)
class TaskChanged(DomainError):
    """The task's version is none of those that the asker expected; nothing was written."""

    version: int  # that it has now
    expected: frozenset[int]


@dataclass(eq=False)
class NotInTrash(DomainError):
    """The owner has the task, and it is not in the trash."""

    task_id: UUID


@dataclass(eq=False)
class TooManyTasks(DomainError):
    """The owner has as many tasks as anyone may have."""

    at_most: int


@dataclass(eq=False)
class KeyInFlight(DomainError):
    """A request under this key is being answered at this moment."""

    retry_after: int = 1  # seconds


@dataclass(eq=False)
class KeyReused(DomainError):
    """The key was used for a request with another body."""


@dataclass(eq=False)
class AnswerGone(DomainError):
    """The request was done, and its answer showed a task that has been deleted for good."""


@dataclass(eq=False)
class TooManyKeys(DomainError):
    """As much is kept of the owner's answers as may be; no key is forgotten before its time."""

    retry_after: int  # seconds, until there is room for this answer


@dataclass(eq=False)
class Unavailable(DomainError):
    """Something outside cannot be reached. Unless its type says otherwise, nothing was done: try again."""

    reason: str  # for the log
    retry_after: int = 1  # seconds


class KeysUnavailable(Unavailable):
    """The keys to check a token with cannot be fetched, so it is neither believed nor refused."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or not in time."""


@dataclass(eq=False)
class DatabaseNotSetUp(DatabaseUnavailable):
    """The database lacks what the service needs of it: only its operator can mend that."""

    retry_after: int = 10  # seconds


class SearchTooSlow(Unavailable):
    """A search took longer than any search may."""


class OutcomeUnknown(Unavailable):
    """A write was sent and not confirmed. It is done whole, or not at all."""
