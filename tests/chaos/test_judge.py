"""The judge fails each scenario that exceeds its limits, and gives the reason."""

from typing import Any

import pytest

from tests.chaos.answers import BROKEN, REFUSED, UNKNOWN, Answer
from tests.chaos.judge import STATUSES_IF_KILLED, Allowed, Record, Verdict, judge, longest_outage
from tests.chaos.ledger import Ledger

STRICT = Allowed(outage=1.5, slowest=2.0)
BEGAN, HEALED, END = 2.0, 3.0, 5.0  # seconds


def answer_at(at: float, status: str = "200", *, took: float = 0.01, kind: str = "read") -> Answer:
    return Answer(at, took, kind, status)


def steady_record(status_of: Any = lambda at: "503" if BEGAN <= at < HEALED else "200", **how: Any) -> Record:
    """Return the record of twenty requests a second; by default those of the fault's second get 503."""
    moments = [number / 20 for number in range(100)]
    answers = [answer_at(at, status_of(at), **how) for at in moments]
    return Record(answers, began=BEGAN, healed=HEALED, start=0.0, end=END)


def judge_with_ledger(
    record: Record, ledger: Ledger, tasks: list[Any], trash: list[Any] | None = None
) -> Verdict:
    record.findings = ledger.audit(tasks, trash or [])
    return judge(record, STRICT)


def task(title: str, *, version: int = 1, owner: str = "ann", **members: Any) -> dict[str, Any]:
    return {
        "id": title,
        "user_id": owner,
        "title": title,
        "version": version,
        "completed": version % 2 == 0,
        **members,
    }


@pytest.fixture
def ledger() -> Ledger:
    """Ann's ledger: two creates and one toggle of the first task were acknowledged."""
    ledger = Ledger("ann")
    for title in ("one", "two"):
        ledger.note_creation(title, "201", task(title))
    ledger.note_toggle("one", "200", task("one", version=2))
    return ledger


def test_an_outage_of_one_second_passes_if_one_and_a_half_are_allowed() -> None:
    verdict = judge(steady_record(), STRICT)

    assert verdict.passed, verdict.reasons
    assert (verdict.before, verdict.during, verdict.after) == (1.0, 0.0, 1.0)
    assert verdict.outage == pytest.approx(1.05)


def test_a_service_that_answers_503_to_everything_fails() -> None:
    verdict = judge(steady_record(lambda _: "503"), STRICT)

    assert verdict.reasons == [
        "0.0% were 2xx before, not 100.0%",
        "0.0% were 2xx after, not 100.0%",
        "no response was 2xx for 5.00 s, not 1.5 s",
    ]


def test_one_500_fails() -> None:
    assert judge(steady_record(lambda at: "500" if at == 2.5 else "200"), STRICT).reasons == ["1 x 500"]


@pytest.mark.parametrize("status", [BROKEN, REFUSED, "404", "401", "429"])
def test_an_outcome_that_the_scenario_does_not_allow_fails(status: str) -> None:
    record = steady_record(lambda at: status if at == 2.5 else "200")

    assert judge(record, STRICT).reasons == [f"1 x {status}"]


def test_a_broken_connection_is_allowed_if_a_process_was_killed() -> None:
    record = steady_record(lambda at: BROKEN if at == 2.5 else "200")

    assert judge(record, Allowed(outage=1.5, slowest=2.0, answers=STATUSES_IF_KILLED)).passed


def test_one_failed_request_after_the_fault_fails() -> None:
    assert judge(steady_record(lambda at: "503" if at == 4.5 else "200"), STRICT).reasons == [
        "97.5% were 2xx after, not 100.0%"
    ]


def test_a_slow_answer_fails() -> None:
    record = steady_record()
    record.answers.append(answer_at(2.0, took=2.1))

    assert judge(record, STRICT).reasons == ["an answer took 2.10 s, not 2 s"]


def test_a_scenario_that_requires_reads_during_the_fault_fails_without_them() -> None:
    assert judge(steady_record(), Allowed(outage=1.5, slowest=2.0, share_of_reads=1.0)).reasons == [
        "0.0% of the reads were 2xx during, not 100.0%"
    ]


def test_a_scenario_that_requires_most_requests_during_the_fault_to_succeed_fails_otherwise() -> None:
    assert judge(steady_record(), Allowed(outage=1.5, slowest=2.0, share_during=0.5)).reasons == [
        "0.0% were 2xx during, not 50.0%"
    ]


def test_a_scenario_that_requires_failing_creations_fails_if_every_creation_succeeds() -> None:
    allowed = Allowed(outage=1.5, slowest=2.0, nothing_new_from=0.0)

    assert not judge(steady_record(lambda _: "201", kind="create"), allowed).passed
    assert judge(steady_record(kind="create"), allowed).passed


def test_a_record_without_requests_fails() -> None:
    verdict = judge(Record([], began=BEGAN, healed=HEALED, start=0.0, end=END), STRICT)

    assert "only 0 requests before: this shows nothing" in verdict.reasons


def test_a_scenario_whose_own_promise_was_broken_fails() -> None:
    record = steady_record()
    record.broken.append("the worker was not replaced")

    assert judge(record, STRICT).reasons == ["the worker was not replaced"]


def test_an_outage_counts_from_the_start_and_until_the_end() -> None:
    assert longest_outage([answer_at(3.0, took=0.0)], 0.0, 5.0) == 3.0
    assert longest_outage([answer_at(1.0, took=0.0)], 0.0, 5.0) == 4.0


def test_a_ledger_that_agrees_with_the_service_passes(ledger: Ledger) -> None:
    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).passed


def test_an_acknowledged_creation_that_is_missing_fails(ledger: Ledger) -> None:
    verdict = judge_with_ledger(steady_record(), ledger, [task("one", version=2)])

    assert (verdict.lost, verdict.reasons) == (
        1,
        ["1 acknowledged writes lost", "e.g. two was created, and is gone"],
    )


def test_an_acknowledged_toggle_that_is_missing_fails(ledger: Ledger) -> None:
    assert judge_with_ledger(steady_record(), ledger, [task("one", version=1), task("two")]).lost == 1


def test_an_acknowledged_deletion_that_was_undone_fails(ledger: Ledger) -> None:
    ledger.note_deletion("two", "204")

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).lost == 1


def test_a_deletion_that_took_the_task_from_the_trash_as_well_fails(ledger: Ledger) -> None:
    ledger.note_deletion("two", "204")

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2)]).lost == 1


def test_a_read_of_an_older_version_than_was_acknowledged_fails(ledger: Ledger) -> None:
    ledger.note_read("one", "200", task("one", version=1))

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).lost == 1


def test_a_version_that_is_reported_again_fails(ledger: Ledger) -> None:
    ledger.note_toggle("one", "200", task("one", version=2))

    verdict = judge_with_ledger(steady_record(), ledger, [task("one", version=3), task("two")])

    assert "version 2 of one was seen, and forgotten" in verdict.reasons[1]


def test_a_read_of_another_title_fails(ledger: Ledger) -> None:
    ledger.note_read("two", "200", task("two") | {"title": "three"})

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).lost == 1


def test_an_acknowledged_task_that_is_read_as_absent_fails(ledger: Ledger) -> None:
    ledger.note_read("two", "404", None)

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).lost == 1


def test_a_version_that_does_not_agree_with_completed_fails(ledger: Ledger) -> None:
    there = [task("one", version=2, completed=False), task("two")]

    assert judge_with_ledger(steady_record(), ledger, there).lost == 1


def test_a_task_that_was_never_requested_fails(ledger: Ledger) -> None:
    there = [task("one", version=2), task("two"), task("four")]

    assert "four was never requested by ann" in judge_with_ledger(steady_record(), ledger, there).reasons[1]


def test_a_creation_that_was_done_twice_fails(ledger: Ledger) -> None:
    verdict = judge_with_ledger(
        steady_record(), ledger, [task("one", version=2), task("two"), task("two") | {"id": "another two"}]
    )

    assert (verdict.twice, verdict.reasons[0]) == (1, "1 writes done twice")


def test_a_toggle_that_was_done_twice_fails(ledger: Ledger) -> None:
    assert judge_with_ledger(steady_record(), ledger, [task("one", version=3), task("two")]).twice == 1


@pytest.mark.parametrize("status", [UNKNOWN, BROKEN])
@pytest.mark.parametrize("version", [2, 3])
def test_a_write_of_unknown_outcome_may_be_there_or_not(ledger: Ledger, status: str, version: int) -> None:
    ledger.note_toggle("one", status, None)
    ledger.note_creation("three", status, None)
    there = [task("one", version=version), task("two")] + [task("three")] * (version == 3)

    assert judge_with_ledger(steady_record(), ledger, there).passed


def test_a_write_of_unknown_outcome_that_was_done_twice_fails(ledger: Ledger) -> None:
    ledger.note_toggle("one", UNKNOWN, None)

    assert judge_with_ledger(steady_record(), ledger, [task("one", version=4), task("two")]).twice == 1


@pytest.mark.parametrize("status", ["503", REFUSED, "429"])
def test_a_write_reported_as_not_done_but_present_fails(ledger: Ledger, status: str) -> None:
    ledger.note_toggle("one", status, None)
    ledger.note_creation("three", status, None)

    verdict = judge_with_ledger(steady_record(), ledger, [task("one", version=3), task("two"), task("three")])

    assert verdict.reasons[0] == "2 writes answered as not done, and done"


def test_a_task_of_another_person_in_the_list_fails(ledger: Ledger) -> None:
    ledger.note_list([task("bobs", owner="bob")])

    assert (
        "1 rows of somebody else"
        in judge_with_ledger(steady_record(), ledger, [task("one", version=2), task("two")]).reasons
    )
