"""`Idempotency-Key`: a request runs once, and its response is stored.

The header is that of draft-ietf-httpapi-idempotency-key-header-07.

A key belongs to an owner and a route. The same key with another body is refused, but the order of members and
white space do not count. The response is stored in the transaction of the work, so neither exists without the
other. Errors are not stored.
"""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Final, TypeVar

from app.api.responses import JsonResponse
from app.domain.idempotency import AlreadyDone, IdempotentRequest, ResponseForm
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork

KEY_HEADER: Final = "Idempotency-Key"
KEY_MAX: Final = 255  # characters

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)  # a String of RFC 8941 §3.3.3
_BARE: Final = re.compile(r"[!#-+\--:<-\[\]-~]+", re.ASCII)
"""Visible ASCII without the delimiters of a list (`,`), a String (`"` and `\\`) or parameters (`;`)."""
_ESCAPED: Final = re.compile(r"\\(.)")


def read_key(values: Sequence[str]) -> str | None:
    """Return the key in the header, without quotes; None if there is no header.

    The draft requires quotes, and many clients omit them.

    Raises:
        ValueError: the header is not one valid key.
    """
    if not values:
        return None
    if len(values) > 1:
        raise ValueError("is given more than once")
    if quoted := _QUOTED.fullmatch(values[0]):
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif _BARE.fullmatch(values[0]):
        key = values[0]
    else:
        raise ValueError(
            'must be one string of printable ASCII, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    if not 1 <= len(key) <= KEY_MAX:
        raise ValueError(f"must have 1 to {KEY_MAX} characters")
    return key


T = TypeVar("T")

REPLAYED: Final = (b"idempotency-replayed", b"true")


def idempotent_request(route: str, key: str | None, content: object) -> IdempotentRequest | None:
    """Return the request with its key and the fingerprint of its parsed body; None without a key."""
    if key is None:
        return None
    return IdempotentRequest(route, key, sha256(canonical_json(content)).digest())


def canonical_json(content: object) -> bytes:
    """Return a parsed body as JSON, the same for each order of its members."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


async def run_once(
    keyed: IdempotentRequest | None,
    unit_of_work: UnitOfWork,
    act: Callable[[TaskService], Awaitable[JsonResponse[T]]],
    form: ResponseForm,
) -> JsonResponse[T]:
    """Run a request. If it has a key, run it only once: on a repeat, return the stored response.

    `form`: what is known of the response in advance. The errors are those of `UnitOfWork.once`.
    """
    if keyed is None:
        return await act(unit_of_work.tasks)
    try:
        return await act(unit_of_work.once(keyed, form))
    except AlreadyDone as again:
        stored = again.response
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in stored.headers]
        return JsonResponse(stored.body, status=stored.status, headers=(*headers, REPLAYED))
