"""Compares what a service did under a fault with what the scenario allows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.chaos.answers import BROKEN, REFUSED, UNKNOWN, WRITES, Answer, share_2xx
from tests.chaos.ledger import Findings

REQUESTS_MIN: Final = 20  # fewer requests before or after a fault show nothing
OK_STATUSES: Final = frozenset({"200", "201", "204"})
STATUSES_IN_OUTAGE: Final = OK_STATUSES | {"503", UNKNOWN}  # statuses that the contract allows in an outage
STATUSES_IF_KILLED: Final = STATUSES_IN_OUTAGE | {BROKEN, REFUSED}  # if a process of the service is killed
CREATED_MAX: Final = 0.05  # share of creations that may still fit into a page of a full disk
BUSY_SECONDS: Final = 1.0  # without any 2xx, which a busy machine alone may cause


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The limits of a scenario. Times are in seconds; shares are those of 2xx responses."""

    outage: float  # longest time without any 2xx
    slowest: float  # longest time of a response
    back: float = 0.0  # time after the end of the fault; then every response must be 2xx
    answers: frozenset[str] = STATUSES_IN_OUTAGE
    share_before: float | None = 1.0  # least share before the fault; None: there is no time before it
    share_during: float = 0.0  # least share during the fault
    share_of_reads: float = 0.0  # least share of reads during the fault
    nothing_new_from: float | None = None  # time since the start of the fault; then creations must fail


@dataclass
class Record:
    """The observations during one scenario."""

    answers: list[Answer]
    began: float  # start of the fault; all four times are in seconds of the monotonic clock
    healed: float  # end of the fault
    start: float  # start of the load
    end: float  # end of the load
    findings: Findings = field(default_factory=Findings)
    broken: list[str] = field(default_factory=list)  # promises of the scenario itself that were not kept


@dataclass
class Verdict:
    """One row of the table. Times are in seconds; `before`, `during` and `after` are shares of 2xx responses."""

    statuses: dict[str, int]
    before: float | None
    during: float | None
    after: float | None
    outage: float
    back: float  # from the end of the fault to the last response without 2xx
    slowest: float
    lost: int
    twice: int
    reasons: list[str]

    @property
    def passed(self) -> bool:
        """Whether no limit was exceeded and no promise broken."""
        return not self.reasons


def judge(record: Record, allowed: Allowed) -> Verdict:
    """Compare a record with what the scenario allows."""
    answers, well_from = record.answers, record.healed + allowed.back
    before = [each for each in answers if each.sent_at < record.began and each.answered_at < record.began]
    during = [each for each in answers if each.answered_at >= record.began and each.sent_at < well_from]
    after = [each for each in answers if each.sent_at >= well_from]
    verdict = Verdict(
        statuses=dict(Counter(each.status for each in answers)),
        before=share_2xx(before),
        during=share_2xx(during),
        after=share_2xx(after),
        outage=longest_outage(answers, record.start, record.end),
        back=max((each.sent_at - record.healed for each in answers if not each.is_2xx), default=0.0),
        slowest=max((each.took for each in answers), default=0.0),
        lost=record.findings.lost,
        twice=record.findings.twice,
        reasons=[*record.broken, *_differences(record.findings)],
    )
    reasons = verdict.reasons
    if allowed.share_before is not None:
        reasons += _too_few_2xx("before", before, allowed.share_before)
    reasons += _too_few_2xx("after", after, 1.0)
    if (share := verdict.during) is not None and share < allowed.share_during:
        reasons.append(f"{share:.1%} were 2xx during, not {allowed.share_during:.1%}")
    reads = share_2xx([each for each in during if each.kind not in WRITES])
    if reads is not None and reads < allowed.share_of_reads:
        reasons.append(f"{reads:.1%} of the reads were 2xx during, not {allowed.share_of_reads:.1%}")
    if allowed.nothing_new_from is not None:
        reasons += _created_anyway(record, record.began + allowed.nothing_new_from)
    if verdict.outage > allowed.outage:
        reasons.append(f"no response was 2xx for {verdict.outage:.2f} s, not {allowed.outage:g} s")
    if verdict.slowest > allowed.slowest:
        reasons.append(f"an answer took {verdict.slowest:.2f} s, not {allowed.slowest:g} s")
    reasons += [
        f"{count} x {status}" for status, count in verdict.statuses.items() if status not in allowed.answers
    ]
    return verdict


def longest_outage(answers: Sequence[Answer], start: float, end: float) -> float:
    """Return the longest time without any 2xx, in seconds."""
    moments = [start, *sorted(each.answered_at for each in answers if each.is_2xx), end]
    return max(later - sooner for sooner, later in pairwise(moments))


def _too_few_2xx(when: str, answers: list[Answer], wanted: float) -> list[str]:
    if len(answers) < REQUESTS_MIN:
        return [f"only {len(answers)} requests {when}: this shows nothing"]
    share = share_2xx(answers) or 0.0
    return [f"{share:.1%} were 2xx {when}, not {wanted:.1%}"] if share < wanted else []


def _created_anyway(record: Record, since: float) -> list[str]:
    answers = [each for each in record.answers if since <= each.sent_at < each.answered_at <= record.healed]
    creating = [each for each in answers if each.kind == "create"]
    if len(creating) < REQUESTS_MIN:
        return [f"only {len(creating)} tasks to be created during: this shows nothing"]
    created = sum(each.is_2xx for each in creating)
    if created <= len(creating) * CREATED_MAX:
        return []
    return [f"{created} of {len(creating)} tasks were created during: there was no fault"]


def _differences(findings: Findings) -> list[str]:
    named = {
        "lost": "acknowledged writes lost",
        "twice": "writes done twice",
        "denied": "writes answered as not done, and done",
        "strangers": "rows of somebody else",
    }
    counts = [f"{count} {words}" for name, words in named.items() if (count := getattr(findings, name))]
    return counts + [f"e.g. {sentence}" for sentence in findings.sentences[:2]]
