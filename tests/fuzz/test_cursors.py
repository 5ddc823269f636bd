"""A cursor is read as it was written, or refused. This also holds for a forged cursor with a right checksum."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.api.requests import cursors
from app.api.requests.cursors import CURSOR_MAX, read, write
from app.domain.task import TaskId
from app.domain.task_list import Bookmark, Key, Order, Selection
from tests.fuzz.effort import effort
from tests.fuzz.near import changed, texts
from tests.support.requests import ANN

moments = st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
sort_keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
KEYS: dict[Order, st.SearchStrategy[Key]] = {
    Order.CREATED: st.none(),
    Order.UPDATED: st.integers(0, 2**56 - 1),
    Order.DUE: st.none() | moments,
    Order.PRIORITY: st.integers(0, 3),
    Order.TITLE: sort_keys,
    Order.POSITION: sort_keys,
}
ids = st.uuids().map(TaskId)
orders = st.sampled_from(Order)


@given(order=orders, task_id=ids, data=st.data())
@effort(300)
def test_a_cursor_is_read_as_it_was_written(order: Order, task_id: TaskId, data: st.DataObject) -> None:
    bookmark, selection = Bookmark(task_id, data.draw(KEYS[order])), Selection(order=order)

    cursor = write(bookmark, ANN, selection)

    assert read(cursor, ANN, selection) == bookmark
    assert len(cursor) <= CURSOR_MAX


@given(order=orders, task_id=ids, data=st.data())
@effort(400)
def test_a_changed_cursor_is_refused(order: Order, task_id: TaskId, data: st.DataObject) -> None:
    selection = Selection(order=order)
    good = write(Bookmark(task_id, data.draw(KEYS[order])), ANN, selection)
    bad = data.draw(changed(good, texts | st.text("AZaz09-_=", max_size=4)) | texts)

    if bad == good:
        return
    with pytest.raises(ValueError, match=r"cursor|belongs"):
        read(bad, ANN, selection)


@given(order=orders, place=st.binary(min_size=16, max_size=60))
@example(order=Order.TITLE, place=b"\0" * 17)
@example(order=Order.UPDATED, place=b"\0" * 16 + b"\x7f" + b"\xff" * 7)
@example(order=Order.UPDATED, place=b"\0" * 16 + b"\xff" * 7)
@effort(400)
def test_a_forged_cursor_that_is_accepted_has_values_that_postgresql_accepts(
    order: Order, place: bytes
) -> None:
    selection = Selection(order=order)
    raw = cursors._checksum(place, cursors._scope_of_list(ANN, selection)) + place
    made = urlsafe_b64encode(raw).decode().rstrip("=")

    try:
        bookmark = read(made, ANN, selection)
    except ValueError as refused:
        assert type(refused) is ValueError
        return

    assert bookmark.id == UUID(bytes=place[:16])
    match bookmark.key:
        case str() as text:
            assert "\0" not in text
            assert text.encode() == place[16:]
        case datetime() as at:
            assert 1 < at.year < 9999  # the driver sends the first and the last datetime as infinity
        case int() as number:
            assert 0 <= number < (2**63 if order is Order.UPDATED else 2**15)  # a bigint; a smallint
    assert urlsafe_b64decode(write(bookmark, ANN, selection) + "===") == raw
