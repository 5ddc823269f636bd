"""Compares one person's acknowledged writes with the rows that exist at the end.

Each write is acknowledged (2xx), unknown (the connection broke, the service says so, or 500) or refused (any other
status, or nothing was sent). Acknowledged writes must be there, refused ones must not, and nothing may be there twice.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.answers import BROKEN, UNKNOWN


@dataclass
class Entry:
    """One task, in the state that its owner expects."""

    title: str
    toggled: int = 0
    perhaps_toggled: int = 0
    refused_toggles: int = 0
    newest: int = 1  # the highest version seen
    deleted: str = "no"  # no, yes or perhaps


@dataclass
class Findings:
    """The differences between the ledger and the service."""

    lost: int = 0  # acknowledged, and not there
    twice: int = 0  # present more often than it was requested
    denied: int = 0  # reported as not done, but present
    strangers: int = 0  # somebody else's
    sentences: list[str] = field(default_factory=list)  # one sentence each

    def add(self, kind: str, sentence: str, count: int = 1) -> None:
        """Add to a count, which `kind` names, and keep the sentence that describes the finding."""
        setattr(self, kind, getattr(self, kind) + count)
        self.sentences.append(sentence)


class Ledger:
    """The ledger of one person."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.findings = Findings()
        self.open: dict[str, Entry] = {}  # tasks that are not deleted, by id
        self.closed: dict[str, Entry] = {}  # tasks that are deleted or perhaps deleted, by id
        self._unknown: set[str] = set()  # titles of creations with an unknown outcome
        self._refused: set[str] = set()  # titles of refused creations

    def note_creation(self, title: str, status: str, task: Any) -> None:
        """Note a creation."""
        if status == "201":
            self.open[task["id"]] = Entry(title)
            self._check_owner(task)
        else:
            (self._unknown if _is_unknown(status) else self._refused).add(title)

    def note_toggle(self, task_id: str, status: str, task: Any) -> None:
        """Note a toggle. Each acknowledged toggle must have a new version."""
        entry = self.open[task_id]
        if status == "200":
            if task["version"] <= entry.newest:
                self.findings.add("lost", f"version {entry.newest} of {entry.title} was seen, and forgotten")
            entry.toggled += 1
            self._note_version(entry, task)
        elif _is_unknown(status):
            entry.perhaps_toggled += 1
        else:
            entry.refused_toggles += 1

    def note_deletion(self, task_id: str, status: str) -> None:
        """Note a deletion."""
        if status == "204" or _is_unknown(status):
            entry = self.closed[task_id] = self.open.pop(task_id)
            entry.deleted = "yes" if status == "204" else "perhaps"

    def note_read(self, task_id: str, status: str, task: Any) -> None:
        """Note what was read."""
        entry = self.open[task_id]
        if status == "200":
            if task["version"] < entry.newest or task["title"] != entry.title:
                self.findings.add("lost", f"{entry.title} was read in an older version than was acknowledged")
            self._note_version(entry, task)
        elif status == "404":
            self.findings.add("lost", f"{entry.title} was acknowledged, and read as 404")

    def note_list(self, tasks: Iterable[Any]) -> None:
        """Note a list: every row is the owner's."""
        for task in tasks:
            self._check_owner(task)

    def audit(self, listed: list[Any], trashed: list[Any]) -> Findings:
        """Compare the ledger with all tasks that exist at the end."""
        self.note_list([*listed, *trashed])
        live, ended = ({task["id"]: task for task in tasks} for tasks in (listed, trashed))
        self._find_twice([*listed, *trashed])
        for task_id, entry in self.open.items():
            if task_id not in live:
                self.findings.add("lost", f"{entry.title} was created, and is gone")
            else:
                self._count_toggles(entry, live[task_id])
        for task_id, entry in self.closed.items():
            if entry.deleted == "yes" and task_id in live:
                self.findings.add("lost", f"{entry.title} was deleted, and is there")
            elif task_id not in live and task_id not in ended:
                self.findings.add("lost", f"{entry.title} is neither in the list nor in the trash")
        return self.findings

    def _find_twice(self, tasks: list[Any]) -> None:
        known = {entry.title for entry in (*self.open.values(), *self.closed.values())}
        for title, count in Counter(task["title"] for task in tasks).items():
            if count > 1:
                self.findings.add("twice", f"{title} is there {count} times", count - 1)
            if title in self._refused:
                self.findings.add("denied", f"{title} was refused, and is there")
            elif title not in known and title not in self._unknown:
                self.findings.add("strangers", f"{title} was never requested by {self.owner}")

    def _count_toggles(self, entry: Entry, task: Any) -> None:
        done = task["version"] - 1
        if done < entry.toggled:
            self.findings.add("lost", f"{entry.title}: {entry.toggled} toggles acknowledged, {done} there")
        unexplained = max(0, done - entry.toggled - entry.perhaps_toggled)
        if denied := min(unexplained, entry.refused_toggles):
            self.findings.add(
                "denied", f"{entry.title}: {denied} toggles were refused, and are there", denied
            )
        if twice := unexplained - denied:
            self.findings.add("twice", f"{entry.title}: {twice} toggles more than were requested", twice)
        if task["completed"] != bool(done % 2):
            self.findings.add("lost", f"{entry.title}: version {done + 1} and completed do not agree")

    def _note_version(self, entry: Entry, task: Any) -> None:
        entry.newest = max(entry.newest, task["version"])
        self._check_owner(task)

    def _check_owner(self, task: Any) -> None:
        if task["user_id"] != self.owner:
            self.findings.add("strangers", f"{self.owner} was shown a task of {task['user_id']}")


def _is_unknown(status: str) -> bool:
    return status in (BROKEN, UNKNOWN, "500")
