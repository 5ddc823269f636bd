"""Request bodies that are as costly to validate as the limits allow, and invalid ones that may take long to refuse."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from app.api.requests.batch_body import BATCH_MAX
from app.api.requests.task_bodies import BODY_MAX
from app.strict_json import MAX_DIGITS

LENGTH: Final = 9_900  # characters of each description; 10,000 are allowed
ALPHABETS: Final[Mapping[str, str]] = {
    "accents": "é ",
    "marks": "a" + "\u0301\u0327" * 15,
    "Han": "東京",
    "emoji": "😀",
    "one letter that becomes 18 when normalised": "\ufdfa" + "b" * 19,
    "commas and quotes": '","',
    # 7919 is a prime, so each symbol comes once and its neighbours are far from it.
    "symbols": "".join(chr(0x2190 + number * 7919 % 11_000) for number in range(LENGTH)),
}
TAGS: Final = [f"é{'a' * 40}{number}" for number in range(20)]


def to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def description_of(unit: str) -> str:
    return (unit * (LENGTH // len(unit) + 1))[:LENGTH]


COSTLIEST: Final = description_of(ALPHABETS["marks"])


def batch_of(operation: Mapping[str, Any], *, ids: bool = False) -> bytes:
    """Return the largest allowed batch that repeats an operation; with `ids`, each repetition has a random task id."""
    room_for_id = 60  # bytes: the member `id`, and the comma between two operations
    count = min(100, BATCH_MAX // (len(to_json(operation)) + room_for_id))
    return to_json(
        {"operations": [{**operation, **({"id": str(uuid4())} if ids else {})} for _ in range(count)]}
    )


def fill(before: str, item: str, after: str, size: int = BATCH_MAX) -> bytes:
    """Return `before`, as many items as fit into `size` bytes, and `after`."""
    count = (size - len(before) - len(after)) // (len(item) + 1)
    return (before + ",".join([item] * count) + after).encode()


def invalid_bodies(size: int, before: str, after: str) -> dict[str, bytes]:
    """Return invalid bodies of at most `size` bytes that a parser may need long to refuse."""
    names = ",".join(f'"{number:x}":0' for number in range(size // 10))
    return {
        "tiny values": fill(before, "0.1", after, size),
        "arrays and objects": fill(before, '{"a":[]}', after, size),
        "brackets within each other": fill(before, "[" * 27 + "]" * 27, after, size),
        "brackets that never close": b"[" * size,
        "deep brackets that all close": b"[" * (size // 2) + b"]" * (size // 2),
        "more brackets close than open": b"[" * 100 + b"]" * (size - 100),
        "quotes": fill(before, '""', after, size),
        "unknown members": f"{{{names}}}".encode(),
        "long numbers": fill(before, "9" * MAX_DIGITS, after, size),
    }


BATCHES: Final[Mapping[str, bytes]] = {
    **{
        name: batch_of({"op": "create", "title": "x", "description": description_of(unit)})
        for name, unit in ALPHABETS.items()
    },
    "tags": batch_of({"op": "create", "title": "x", "tags": TAGS, "description": description_of("é ")}),
}
REFUSED_BATCHES: Final = {
    **invalid_bodies(BATCH_MAX, '{"operations":[{"op":"create","title":[', "]}]}"),
    "operations": fill('{"operations":[', '{"op":"create"}', "]}"),
    "wrong operations": batch_of({"op": "create", "title": "x", "due": "x", "description": COSTLIEST}),
}
TASKS: Final = {
    name: to_json({"title": "x", "description": description_of(unit)}) for name, unit in ALPHABETS.items()
}
REFUSED_BODIES: Final = invalid_bodies(BODY_MAX, '{"title":[', "]}")
