"""“Did you mean …?” for names and values that are close to known ones, or that other task services use."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

NAME_MAX: Final = 40  # characters; a longer name is not compared
CLOSE: Final = 0.7  # difflib's ratio; 1 is equal

FIELDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("due_date", "dueDate", "due_at", "dueAt", "deadline"), "due"),
    **dict.fromkeys(("is_completed", "isCompleted", "status", "done", "is_done", "isDone"), "completed"),
    **dict.fromkeys(("name", "text", "task"), "title"),
    **dict.fromkeys(("notes", "note", "body", "content"), "description"),
    **dict.fromkeys(("labels", "label", "tag"), "tags"),
}
PARAMETERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("search", "query", "s"), "q"),
    **dict.fromkeys(("sort_by", "sortBy", "order", "order_by", "orderBy", "ordering"), "sort=-created"),
    **dict.fromkeys(("tags", "label", "labels"), "tag"),
    **dict.fromkeys(("page", "offset", "skip", "after"), "cursor"),
    **dict.fromkeys(("per_page", "perPage", "page_size", "pageSize", "size", "take"), "limit"),
    **dict.fromkeys(("status", "done", "is_completed", "isCompleted"), "completed"),
    **dict.fromkeys(("due_date", "dueDate"), "due_before"),
    **dict.fromkeys(("deleted", "archived", "trash"), "trashed"),
}


def hint(name: str, known: Collection[str], others: Mapping[str, str]) -> str:
    """Return `; did you mean …?`, or an empty string.

    It proposes the known name that other services call `name` (`others`), or else a close one.
    """
    if len(name) > NAME_MAX:
        return ""
    other = others.get(name)
    if other is None or other.partition("=")[0] not in known:  # such as `sort=-created`
        folded = {each.lower(): each for each in known}
        near = get_close_matches(name.lower(), folded, 1, CLOSE)
        other = folded[near[0]] if near else None
    return f"; did you mean `{other}`?" if other else ""
