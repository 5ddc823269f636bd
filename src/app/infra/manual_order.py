"""Moving one of an owner's tasks, in Neon."""

from datetime import datetime
from uuid import UUID

from app.domain.commands import Move
from app.domain.errors import BrokenRule, InvalidTask, TaskNotFound
from app.domain.position import REACHES, Position, between, spread
from app.domain.task import Shown, require_version
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row
from app.infra.statements import manual_order
from app.infra.statements.revision import HOLD
from app.infra.statements.tasks import SHOW, update_of
from app.infra.task_rows import shown


async def move(session: OwnerSession, move: Move, *, at: datetime) -> Shown:
    """Move, within a transaction: nobody else writes between looking and writing."""
    await session.one(HOLD)
    standing = await _standing(session, move)
    stands, there = (standing[task_id]["position"] for task_id in (move.task_id, move.beside))
    low, high = await _gap(session, move, there)
    if not _lies(stands, low, high):
        if (position := between(low, high, at)) is not None:
            await session.rows(update_of(("position",)).act, row=move.task_id, position=position, at=at)
        else:
            await _spread(session, move, there, at=at)
    (row,) = await session.rows(SHOW, row=move.task_id)
    return shown(row)


async def _standing(session: OwnerSession, move: Move) -> dict[UUID, Row]:
    """Return where both tasks stand, or raise what speaks against the move, in the order of judgement."""
    rows = await session.rows(manual_order.STANDING, row=move.task_id, beside=move.beside)
    standing = {row["id"]: row for row in rows}
    if move.task_id not in standing:
        raise TaskNotFound(move.task_id)
    require_version(standing[move.task_id]["version"], move.if_match)
    if move.beside not in standing or move.beside == move.task_id:
        fault = "names the task itself" if move.beside == move.task_id else "names no task in this list"
        raise InvalidTask((BrokenRule("before" if move.before else "after", fault),))
    return standing


async def _gap(session: OwnerSession, move: Move, there: Position) -> tuple[Position | None, Position | None]:
    """Return the positions around the place, as if the task to move were not in the list; None: an end."""
    statement = manual_order.BEFORE if move.before else manual_order.AFTER
    row = await session.one(statement, row=move.task_id, beside=move.beside, position=there)
    neighbour: Position | None = row["position"] if row else None
    return (neighbour, there) if move.before else (there, neighbour)


async def _spread(session: OwnerSession, move: Move, there: Position, *, at: datetime) -> None:
    """Give new positions to the tasks around the place, to as few as make room."""
    pair = [move.task_id, move.beside] if move.before else [move.beside, move.task_id]
    for reach, longest in REACHES:
        values = {"row": move.task_id, "beside": move.beside, "position": there, "limit": reach + 1}
        before = await session.rows(manual_order.NEAREST_BEFORE, **values)
        after = await session.rows(manual_order.NEAREST_AFTER, **values)
        low = first = before[-1]["position"] if before else there
        high = last = after[-1]["position"] if after else there
        if len(before) <= reach:
            low = between(None, first, at)
        if len(after) <= reach:
            high = between(last, None, at)
        ids = [row["id"] for row in reversed(before[:reach])] + pair + [row["id"] for row in after[:reach]]
        if positions := spread(len(ids), low, high, longest=longest):
            await session.rows(manual_order.SPREAD, ids=ids, positions=positions, at=at)
            return
    raise RuntimeError("a whole list has no room for new positions")


def _lies(stands: Position, low: Position | None, high: Position | None) -> bool:
    return (low or "") < stands and (high is None or stands < high)
