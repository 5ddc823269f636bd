"""Any query or path parses to a page that PostgreSQL can read, or to validation errors with their places."""

from urllib.parse import parse_qsl, quote

from hypothesis import example, given
from hypothesis import strategies as st

from app.api.problems import InvalidRequest
from app.api.requests.cursors import write
from app.api.requests.list_query import read_list, read_zone
from app.api.requests.validation import ErrorCollector
from app.domain.task_list import NEWEST, PAGE_MAX, Bookmark
from tests.fuzz.effort import effort
from tests.fuzz.near import changed, texts
from tests.support.factories import a_task_id
from tests.support.requests import ANN, task_request

# Valid values of all parameters, of the list and of the summary.
GOOD = {
    "sort": "-due",
    "completed": "true",
    "priority": "high",
    "tag": "home",
    "due": "none",
    "due_before": "2026-01-31T17:00:00.5+01:00",
    "due_after": "2026-01-31",
    "updated_since": "9998-12-31T23:59:59Z",
    "q": "Wäter? 水 pla",
    "trashed": "false",
    "limit": "200",
    "cursor": write(Bookmark(a_task_id()), ANN, NEWEST),
    "tz": "Europe/Berlin",
}


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Draw a query of valid or almost valid parameters, mostly with the right percent-encoding."""
    parts = []
    for name in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=4)):
        value = draw(st.just(GOOD[name]) | changed(GOOD[name], texts))
        written = quote(value, safe="", errors="surrogatepass")
        parts.append(f"{draw(st.just(name) | texts)}={written}")
    query = "&".join(parts).encode("utf-8", "surrogatepass")
    return draw(
        st.just(query) | changed(query, st.binary(max_size=3) | st.sampled_from([b"%", b"%ff", b"&", b"="]))
    )


@given(query=queries())
@example(query=b"limit=" + b"9" * 5000)
@example(query=b"q=%00")
@example(query=b"due_before=0001-01-01T00:00:00%2B23:59")
@example(query=b"updated_since=9998-12-31T23:59:60Z")
@example(query="limit=١".encode())
@effort(700)
def test_any_query_of_a_list_is_valid_or_refused_with_errors(query: bytes) -> None:
    try:
        first = read_list(task_request(query=query))
    except InvalidRequest as refused:
        assert refused.errors
        assert all(fault.detail and fault.in_ == "query" for fault in refused.errors)
        return

    selection = first.selection
    assert 1 <= first.limit <= PAGE_MAX
    for moment in (selection.due_before, selection.due_after, selection.updated_since):
        assert moment is None or 1 < moment.year < 9999
    search = selection.search
    for text in (*(selection.tags or ()), *((*search.needles, search.verbatim) if search else ())):
        assert "\0" not in text
        text.encode()
    again = read_list(
        task_request(query=first.query_of(write(Bookmark(a_task_id()), ANN, selection)).encode())
    )
    assert again.selection == selection  # the link to the next page selects the same list
    assert again.limit == first.limit


@given(query=queries())
@effort(300)
def test_any_time_zone_is_valid_or_refused(query: bytes) -> None:
    try:
        zone = read_zone(task_request(query=query))
    except InvalidRequest as refused:
        assert refused.errors
        return

    assert zone.key in {"UTC", *(value for name, value in parse_qsl(query.decode()) if name == "tz")}


@given(text=changed("019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70", texts) | texts)
@effort(300)
def test_a_task_id_is_a_uuid_in_its_usual_form_or_refused(text: str) -> None:
    request = task_request(task_id=text)
    errors = ErrorCollector(request)

    task_id = errors.read_task_id()

    try:
        errors.raise_any()
    except InvalidRequest:
        assert not task_id.int
    else:
        assert str(task_id) == text.lower()
