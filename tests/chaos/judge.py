"""The judge: what a service may do under a fault, and what it did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.chaos.answers import BROKEN, REFUSED, UNKNOWN, WRITES, Answer, share_well
from tests.chaos.ledger import Findings

FEW: Final = 20  # requests: fewer before or after a fault show nothing
ALWAYS: Final = frozenset({"200", "201", "204"})
EXPECTED: Final = ALWAYS | {"503", UNKNOWN}  # statuses that the contract allows in an outage
CUT: Final = EXPECTED | {BROKEN, REFUSED}  # where the process itself ends


HARDLY: Final = 0.05  # share of creations for which a full disk may still find room within a page
BUSY: Final = 1.0  # seconds in which two cores that others use too may get nothing done: no outage


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The limits of a scenario. Times are in seconds; shares are those of 2xx responses."""

    outage: float  # longest time without any 2xx
    slowest: float  # answer
    back: float = 0.0  # after the end of the fault; from then on everything is well
    answers: frozenset[str] = EXPECTED
    before: float | None = 1.0  # least share; None where the fault is there from the start
    during: float = 0.0
    reads: float = 0.0  # least share of reads during
    nothing_new_from: float | None = (
        None  # after the beginning hardly a task may be created: the fault is real
    )


@dataclass
class Record:
    """The observations during one scenario."""

    answers: list[Answer]
    began: float  # the fault, in seconds of the monotonic clock
    healed: float
    start: float  # of the load
    end: float
    findings: Findings = field(default_factory=Findings)
    broken: list[str] = field(default_factory=list)  # promises of the scenario itself that were not kept


@dataclass
class Verdict:
    """One row of the table. Times are in seconds."""

    statuses: dict[str, int]
    before: float | None
    during: float | None
    after: float | None
    outage: float
    back: float
    slowest: float
    lost: int
    twice: int
    reasons: list[str]

    @property
    def passed(self) -> bool:
        """Whether everything was kept."""
        return not self.reasons


def judge(record: Record, allowed: Allowed) -> Verdict:
    """Hold a record against what is allowed."""
    answers, well_from = record.answers, record.healed + allowed.back
    before = [each for each in answers if each.sent_at < record.began and each.answered_at < record.began]
    during = [each for each in answers if each.answered_at >= record.began and each.sent_at < well_from]
    after = [each for each in answers if each.sent_at >= well_from]
    verdict = Verdict(
        statuses=dict(Counter(each.status for each in answers)),
        before=share_well(before),
        during=share_well(during),
        after=share_well(after),
        outage=longest_outage(answers, record.start, record.end),
        back=max((each.sent_at - record.healed for each in answers if not each.well), default=0.0),
        slowest=max((each.took for each in answers), default=0.0),
        lost=record.findings.lost,
        twice=record.findings.twice,
        reasons=[*record.broken, *_broken_by(record.findings)],
    )
    reasons = verdict.reasons
    if allowed.before is not None:
        reasons += _too_little("before", before, allowed.before)
    reasons += _too_little("after", after, 1.0)
    if (share := verdict.during) is not None and share < allowed.during:
        reasons.append(f"{share:.1%} well during, not {allowed.during:.1%}")
    reads = share_well([each for each in during if each.kind not in WRITES])
    if reads is not None and reads < allowed.reads:
        reasons.append(f"{reads:.1%} of the reads well during, not {allowed.reads:.1%}")
    if allowed.nothing_new_from is not None:
        reasons += _created_anyway(record, record.began + allowed.nothing_new_from)
    if verdict.outage > allowed.outage:
        reasons.append(f"nothing was well for {verdict.outage:.2f} s, not {allowed.outage:g} s")
    if verdict.slowest > allowed.slowest:
        reasons.append(f"an answer took {verdict.slowest:.2f} s, not {allowed.slowest:g} s")
    reasons += [
        f"{count} x {status}" for status, count in verdict.statuses.items() if status not in allowed.answers
    ]
    return verdict


def longest_outage(answers: Sequence[Answer], start: float, end: float) -> float:
    """Return the longest time without any 2xx, in seconds."""
    moments = [start, *sorted(each.answered_at for each in answers if each.well), end]
    return max(later - sooner for sooner, later in pairwise(moments))


def _too_little(when: str, answers: list[Answer], wanted: float) -> list[str]:
    if len(answers) < FEW:
        return [f"only {len(answers)} requests {when}: this shows nothing"]
    share = share_well(answers) or 0.0
    return [f"{share:.1%} well {when}, not {wanted:.1%}"] if share < wanted else []


def _created_anyway(record: Record, since: float) -> list[str]:
    answers = [each for each in record.answers if since <= each.sent_at < each.answered_at <= record.healed]
    creating = [each for each in answers if each.kind == "create"]
    if len(creating) < FEW:
        return [f"only {len(creating)} tasks to be created during: this shows nothing"]
    well = sum(each.well for each in creating)
    real = well <= len(creating) * HARDLY
    return [] if real else [f"{well} of {len(creating)} tasks were created during: there was no fault"]


def _broken_by(findings: Findings) -> list[str]:
    named = {
        "lost": "acknowledged writes lost",
        "twice": "writes done twice",
        "denied": "writes answered as not done, and done",
        "strangers": "rows of somebody else",
    }
    counts = [f"{count} {words}" for name, words in named.items() if (count := getattr(findings, name))]
    return counts + [f"e.g. {sentence}" for sentence in findings.sentences[:2]]
