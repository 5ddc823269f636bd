"""Moves one of an owner's tasks in the manual order."""

from datetime import datetime

from app.domain.commands import Move
from app.domain.errors import BrokenRule, InvalidTask, TaskNotFound
from app.domain.position import REACHES, Position, between, spread
from app.domain.task import Shown, require_version
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row
from app.infra.statements import manual_order
from app.infra.statements.revision import LOCK_OWNER
from app.infra.statements.tasks import SHOW
from app.infra.task_rows import shown


async def move(session: OwnerSession, move: Move, *, at: datetime) -> Shown:
    """Move a task: read, and write its position.

    If another write came in between, or if there is no room, lock the owner and try once more. If there is
    still no room, give new positions to the tasks around the place.
    """
    seen = await _read_neighbours(session, move)
    if (moved := await _put(session, move, seen, at=at)) is not None:
        return moved
    async with session.transaction() as transaction:
        await transaction.one(LOCK_OWNER)
        seen = await _read_neighbours(transaction, move)
        if (moved := await _put(transaction, move, seen, at=at)) is not None:
            return moved
        await _spread(transaction, move, seen["target_position"], at=at)
        (row,) = await transaction.rows(SHOW, task_id=move.task_id)
        return shown(row)


async def _read_neighbours(session: OwnerSession, move: Move) -> Row:
    """Return the positions of the task to move, its target and the neighbour, or raise the reason to refuse.

    The target is the task beside which it moves. The neighbour is on the other side of the new place.
    """
    statement = manual_order.BEFORE if move.before else manual_order.AFTER
    (seen,) = await session.rows(statement, task_id=move.task_id, beside=move.beside)
    if seen["json"] is None:
        raise TaskNotFound(move.task_id)
    require_version(seen["version"], move.if_match)
    if seen["target_position"] is None or move.beside == move.task_id:
        fault = "names the task itself" if move.beside == move.task_id else "names no task in this list"
        raise InvalidTask((BrokenRule("before" if move.before else "after", fault),))
    return seen


async def _put(session: OwnerSession, move: Move, seen: Row, *, at: datetime) -> Shown | None:
    """Write the position of the task. None: there is no room, or another request wrote after the read."""
    neighbour, target = seen["neighbour_position"], seen["target_position"]
    low, high = (neighbour, target) if move.before else (target, neighbour)
    if _is_between(seen["position"], low, high):
        return shown(seen)
    position = between(low, high, at)
    if position is None:
        return None
    values = {"task_id": move.task_id, "position": position, "at": at, "revision": seen["revision"]}
    row = await session.one(manual_order.PUT, **values)
    return shown(row) if row is not None else None


async def _spread(session: OwnerSession, move: Move, target: Position, *, at: datetime) -> None:
    """Write new positions for the tasks around `target`: for as few as needed."""
    pair = [move.task_id, move.beside] if move.before else [move.beside, move.task_id]
    for tasks_on_each_side, position_max in REACHES:
        values = {
            "task_id": move.task_id,
            "beside": move.beside,
            "position": target,
            "limit": tasks_on_each_side + 1,
        }
        before = await session.rows(manual_order.NEAREST_BEFORE, **values)
        after = await session.rows(manual_order.NEAREST_AFTER, **values)
        # The last task on each side only bounds the new positions. If it is missing, the list ends there.
        low = before[-1]["position"] if before else target
        high = after[-1]["position"] if after else target
        if len(before) <= tasks_on_each_side:
            low = between(None, low, at)
        if len(after) <= tasks_on_each_side:
            high = between(high, None, at)
        ids_before = [row["id"] for row in reversed(before[:tasks_on_each_side])]
        ids = ids_before + pair + [row["id"] for row in after[:tasks_on_each_side]]
        if positions := spread(len(ids), low, high, longest=position_max):
            await session.rows(manual_order.SPREAD, ids=ids, positions=positions, at=at)
            return
    raise RuntimeError("a whole list has no room for new positions")


def _is_between(position: Position, low: Position | None, high: Position | None) -> bool:
    return (low or "") < position and (high is None or position < high)
