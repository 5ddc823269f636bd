"""Any header is read as its RFC says, or refused, or ignored."""

import re

from hypothesis import example, given
from hypothesis import strategies as st
from litestar.exceptions import HTTPException

from app.api.context import read_request_id
from app.api.middleware.authentication import bearer_token
from app.api.middleware.response_headers import Cors
from app.api.problems import InvalidRequest
from app.api.requests.conditional import is_known, read_if_match, read_versions
from app.api.requests.idempotency import KEY_MAX, read_key
from app.api.requests.request import HEADER_MAX, JSON, MERGE_PATCH, accepts, json_body
from app.api.requests.validation import ErrorCollector
from app.api.responses import etag
from app.domain.errors import NotAuthenticated
from app.domain.task import MissingVersions
from tests.fuzz.effort import effort
from tests.fuzz.near import changed
from tests.support.requests import Lines, context_with, task_request

PIECES = (
    *(  # separators and their like
        b"\0",
        b"\t",
        b" ",
        b",",
        b";",
        b'"',
        b"\\",
        b"*",
        b"=",
        b"/",
        b"W/",
        b"w/",
        b'"3"',
        b"q=0",
        b"q=",
        b"q=9e9",
    ),
    *(  # bytes that some parsers take for digits, letters or white space, and long values
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xc3\xa4",
        b"\x0b",
        b"\x0c",
        b"\x85",
        b"\xa0",
        b"\xb2",
        b"9" * 25,
        b"x" * 300,
    ),
)
pieces = st.sampled_from(PIECES) | st.binary(max_size=4)


def values_near(*good: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy: one of these values, unchanged or slightly changed, or a random value."""
    return st.sampled_from(good).flatmap(lambda one: changed(one, pieces)) | st.lists(pieces).map(b"".join)


def header_lines(name: bytes, *good: bytes) -> st.SearchStrategy[Lines]:
    """Return a strategy: none, one, or several lines of a header."""
    return st.lists(values_near(*good).map(lambda value: (name, value)), max_size=3)


@given(
    headers=header_lines(b"if-match", b'"3"', b"*", b'W/"3", "17" ,"x"', b', "1",'), required=st.booleans()
)
@example(headers=[(b"if-match", b'"\xb2"')], required=False)
@example(headers=[(b"if-match", b'"' + b"9" * 5000 + b'"')], required=False)
@example(headers=[(b"if-match", b'"9999999999999999999"')], required=False)  # beyond a bigint
@effort(400)
def test_if_match_is_read_as_versions_or_refused(headers: Lines, required: bool) -> None:  # noqa: FBT001 - a case
    request = task_request(headers=headers, require_if_match=required)
    errors = ErrorCollector(request)

    versions = read_if_match(request, errors)

    if not headers:
        assert isinstance(versions, MissingVersions) if required else versions is None
        assert not errors.has("/If-Match")
        return
    joined = b", ".join(value for _, value in headers)
    assert (versions is None) == (errors.has("/If-Match") or joined.strip(b" \t") == b"*")
    for version in versions or ():
        assert re.search(rb'(?<!W/)"%d"' % version, joined)
        assert 0 < version < 2**63  # what PostgreSQL calls a bigint


@given(given_text=values_near(b'"3"', b"*", b'W/"3", "17"').map(lambda value: value.decode("latin-1")))
@example(given_text="\xa0*")
@effort(200)
def test_the_versions_that_a_batch_names_are_read_or_refused(given_text: str) -> None:
    try:
        versions = read_versions(given_text)
    except ValueError:
        return

    assert versions is not None or given_text.strip(" \t") == "*"


@given(
    headers=header_lines(b"if-none-match", b'"3"', b"*", b'W/"3", "17" ,"x"'),
    version=st.sampled_from([1, 3, 17]),
)
@effort(300)
def test_if_none_match_matches_only_the_versions_in_it(headers: Lines, version: int) -> None:
    known = is_known(task_request(headers=headers), etag(version))

    joined = b", ".join(value for _, value in headers)
    assert not known or etag(version) in joined or joined.strip(b" \t") == b"*"
    assert headers or not known


@given(headers=header_lines(b"idempotency-key", b'"a b"', b"8e03978e-40d5", b'"\\"\\\\"'))
@effort(400)
def test_an_idempotency_key_is_printable_ascii_or_refused(headers: Lines) -> None:
    request = task_request(headers=headers)
    errors = ErrorCollector(request)
    errors.read_idempotency_key()
    try:
        errors.raise_any()
    except InvalidRequest:
        return

    key = read_key(request.context.lines(b"idempotency-key"))

    assert (key is None) == (not headers)
    assert key is None or re.fullmatch(rf"[ -~]{{1,{KEY_MAX}}}", key)


@given(accept=values_near(b"application/json", b"text/html, application/*;q=0.1, */*;q=0", b"*/*;v=1;q=1.0"))
@effort(400)
def test_accept_with_application_json_appended_allows_json_unless_it_is_too_long(accept: bytes) -> None:
    text = accept.decode("latin-1")

    assert accepts(text) in (True, False)
    with_json = f"{text}, application/json"
    assert accepts(with_json) == (len(with_json) <= HEADER_MAX)


@given(
    kind=header_lines(
        b"content-type", b"application/json", b'Application/JSON ; charset="utf-8"', b"text/plain"
    ),
    length=header_lines(b"content-length", b"0", b"2"),
    more=st.lists(st.sampled_from([(b"transfer-encoding", b"chunked"), (b"content-encoding", b"gzip")])),
)
@effort(300)
async def test_a_body_of_another_media_type_is_refused(kind: Lines, length: Lines, more: Lines) -> None:
    request = task_request(headers=[*kind, *length, *more])

    async def body() -> bytes:
        return b"{}"

    request.body = body  # type: ignore[method-assign]  # there is no server here that could receive a body
    try:
        read = await json_body(request, MERGE_PATCH, JSON)
    except HTTPException as refused:
        assert refused.status_code == 415
        return

    assert read in (b"", b"{}")
    assert not any(name == b"content-encoding" for name, _ in more)
    if read and kind:
        first = kind[0][1].lower()
        assert any(each.encode() in first for each in (JSON, MERGE_PATCH))


@given(headers=header_lines(b"authorization", b"Bearer a.b.c", b"bEaReR  x", b"Basic YTpi"))
@example(headers=[(b"authorization", b"Bearer a.b.\xff")])
@effort(400)
def test_authorization_is_one_bearer_token_or_is_refused(headers: Lines) -> None:
    try:
        token = bearer_token(context_with(headers).lines(b"authorization"))
    except NotAuthenticated:
        return

    ((_, value),) = headers
    assert value.lower().startswith(b"bearer ")
    assert token
    assert token.encode("ascii") in value


@given(sent=values_near(b"find-me_1.2", b"x" * 64))
@effort(300)
def test_a_request_id_is_used_only_if_it_is_safe_in_a_log(sent: bytes) -> None:
    request_id = read_request_id(sent)

    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", request_id)
    assert request_id.encode() == sent or re.fullmatch("[0-9a-f]{32}", request_id)


@given(origin=values_near(b"https://app.example.com", b"null", b"*"))
@effort(200)
def test_an_origin_is_allowed_only_if_it_is_configured(origin: bytes) -> None:
    cors = Cors(["https://app.example.com"])

    allowed = dict(cors.headers(origin)).get(b"access-control-allow-origin")

    assert (allowed is not None) == (origin == b"https://app.example.com")
    assert bool(cors.preflight(origin, "GET")) == (allowed is not None)
