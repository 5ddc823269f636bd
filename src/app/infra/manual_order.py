"""Moving one of an owner's tasks, in Neon."""

from datetime import datetime
from uuid import UUID

from app.domain.commands import Move
from app.domain.errors import BrokenRule, InvalidTask, TaskNotFound
from app.domain.position import HORIZON, Position, between, microseconds_since_epoch
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
        await _put(session, move, between(low, high, at), there, at=at)
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


async def _put(
    session: OwnerSession, move: Move, position: Position | None, there: Position, *, at: datetime
) -> None:
    values = {"row": move.task_id, "at": at}
    if position is not None:
        await session.rows(update_of(("position",)).act, **values, position=position)
    else:
        clock, side = HORIZON - microseconds_since_epoch(at), -1 if move.before else 1
        beside = {"beside": move.beside, "position": there, "side": side}
        await session.rows(manual_order.SPREAD, **values, **beside, clock=clock)


def _lies(stands: Position, low: Position | None, high: Position | None) -> bool:
    return (low or "") < stands and (high is None or stands < high)
