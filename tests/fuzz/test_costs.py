"""What a request brings costs time in proportion to its length: twice the length, at most three times the time."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import strict_json
from app.api.client_addresses import parsed
from app.api.conditions import read_versions
from app.api.hints import FIELDS, hint
from app.api.negotiation import accepts_json
from app.domain.due import Due
from app.domain.search import Search
from app.domain.task import broken_rules
from app.domain.text import broken_text_rules
from app.infra.token_claims import opened

LENGTH = 60_000  # characters of the shorter text
ROUNDS = 4
NOISE = 0.004  # seconds that a measurement may be off

UNITS = st.one_of(
    st.sampled_from(
        ['"', "\\", "[", "{", '{"a":', "\u0301\u0327", "\ufdfa", "😀", ", ", 'W/"1",', "%", "&", "="]
    ),
    st.text(min_size=1, max_size=4),
)
JUDGES: dict[str, Callable[[str], object]] = {
    "JSON": lambda text: strict_json.loads(text.encode("utf-8", "surrogatepass")),
    "JSON of one string": lambda text: strict_json.loads(json.dumps({"title": text}).encode()),
    "a title": lambda text: list(broken_rules({"title": text})),
    "a description": lambda text: list(broken_rules({"description": text})),
    "a tag": lambda text: list(broken_rules({"tags": [text]})),
    "a text of any length": lambda text: list(
        broken_text_rules("x", text, at_most=10**9, normalized_at_most=10**9)
    ),
    "a search": Search.parse,
    "a due date": Due.parse,
    "If-Match": read_versions,
    "Accept": accepts_json,
    "a query": lambda text: parse_qsl(quote(text, safe="&=%", errors="replace"), keep_blank_values=True),
    "a token": opened,
    "an address": parsed,
    "the name of a member": lambda text: hint(text, FIELDS, FIELDS),
}


def cost(judge: Callable[[str], object], text: str) -> float:
    """Return the least seconds of several tries."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        with suppress(Exception):
            judge(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("name", JUDGES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(unit=UNITS)
def test_twice_the_length_costs_at_most_three_times_the_time(name: str, unit: str) -> None:
    text = unit * (LENGTH // len(unit))

    once, twice = cost(JUDGES[name], text), cost(JUDGES[name], text * 2)

    assert twice <= 3 * once + NOISE, (once, twice)
