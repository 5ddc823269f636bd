"""Pagination cursors and tokens of changes: opaque strings.

A cursor is bound to an owner, an order and the filters of a list. A token is bound to an owner.

A cursor contains the sort key (of a title at most 1,200 bytes), not only the id of the last task. So paging
continues when that task was deleted or moved. A checksum detects a cursor that was changed or belongs to
another list. It is not a signature, because a cursor grants no access: the statement reads the requesting
owner's rows only.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

from app.domain.changes import ChangesToken
from app.domain.identity import UserId
from app.domain.position import EPOCH, microseconds_since_epoch
from app.domain.task import TaskId
from app.domain.task_list import Bookmark, Key, Order, Selection

CURSOR_MAX: Final = 1_700  # characters
_CHECKSUM, _ID, _MOMENT = 14, 16, 8  # bytes
_REVISION: Final = 7  # bytes; not 8: earlier versions wrote a time of 8 bytes, which must be refused
_NUMBER: Final = 8  # bytes of each revision in a token
NOT_ISSUED: Final = (
    "is not a token that this service gave out: read all changes without `since`, and continue from `next`"
)
TOKEN_LENGTH: Final = 62  # characters
REVISION_END: Final = 2**62  # far above any revision, and PostgreSQL can still add to it
_TOKEN_FORM: Final = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}", re.ASCII)
_FORM: Final = re.compile(rf"[A-Za-z0-9_-]{{40,{CURSOR_MAX}}}", re.ASCII)


def write(bookmark: Bookmark, owner: UserId, selection: Selection) -> str:
    """Return the cursor of a bookmark in an owner's list, for a `Link`."""
    payload = bookmark.id.bytes + _key_bytes(bookmark.key, selection.order)
    return _encode(payload, _scope_of_list(owner, selection))


def read(cursor: str, owner: UserId, selection: Selection) -> Bookmark:
    """Return the bookmark of a cursor that `write` returned for the same list.

    Raises:
        ValueError: it is no such cursor.
    """
    if not _FORM.fullmatch(cursor):
        raise ValueError("is not a cursor that this service gave out")
    payload = _decode(cursor, _scope_of_list(owner, selection))
    if payload is None:
        raise ValueError("belongs to another list, or to this one with other parameters, or was changed")
    try:
        return Bookmark(TaskId(UUID(bytes=payload[:_ID])), _read_key(payload[_ID:], selection.order))
    except (ValueError, OverflowError):
        raise ValueError("is not a cursor that this service gave out") from None


def write_token(token: ChangesToken, owner: UserId) -> str:
    """Return a token of an owner's changes as text."""
    payload = token.revision.to_bytes(_NUMBER) + token.id.bytes + token.base.to_bytes(_NUMBER)
    return _encode(payload, _scope_of_changes(owner))


def read_token(text: str, owner: UserId) -> ChangesToken:
    """Return the token that `write_token` wrote for the same owner.

    Raises:
        ValueError: it is no such token.
    """
    if not _TOKEN_FORM.fullmatch(text):
        raise ValueError(NOT_ISSUED)
    payload = _decode(text, _scope_of_changes(owner))
    if payload is None:
        raise ValueError("belongs to another person, or was changed")
    revision, base = int.from_bytes(payload[:_NUMBER]), int.from_bytes(payload[-_NUMBER:])
    if max(revision, base) >= REVISION_END:
        raise ValueError(NOT_ISSUED)
    return ChangesToken(revision, UUID(bytes=payload[_NUMBER:-_NUMBER]), base)


def _scope_of_list(owner: UserId, selection: Selection) -> bytes:
    return f"{owner}\0{selection.as_conditions()}\0".encode()


def _scope_of_changes(owner: UserId) -> bytes:
    return f"{owner}\0changes\0".encode()


def _encode(payload: bytes, scope: bytes) -> str:
    return urlsafe_b64encode(_checksum(payload, scope) + payload).decode().rstrip("=")


def _decode(text: str, scope: bytes) -> bytes | None:
    """Return the payload of a text; None if the text was not encoded for this scope."""
    if len(text) % 4 == 1:  # no Base64 text without padding has such a length
        return None
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    payload = raw[_CHECKSUM:]
    return payload if _encode(payload, scope) == text else None


def _checksum(payload: bytes, scope: bytes) -> bytes:
    return blake2b(scope + payload, digest_size=_CHECKSUM).digest()


def _key_bytes(key: Key, order: Order) -> bytes:
    match key:
        case datetime():
            return microseconds_since_epoch(key).to_bytes(_MOMENT, signed=True)
        case int():
            return key.to_bytes(_REVISION if order is Order.UPDATED else 1)
        case str():
            return key.encode()
    return b""


def _read_key(key: bytes, order: Order) -> Key:
    """Decode a sort key. A client may have forged it, so it must be a value that PostgreSQL can compare."""
    match order:
        case Order.TITLE | Order.POSITION if b"\0" not in key:
            return key.decode()
        case Order.PRIORITY if len(key) == 1:
            return key[0]
        case Order.UPDATED if len(key) == _REVISION:
            return int.from_bytes(key)
        case Order.DUE if len(key) == _MOMENT:
            return EPOCH + timedelta(microseconds=int.from_bytes(key, signed=True))
        case Order.CREATED | Order.DUE if not key:
            return None
    raise ValueError
