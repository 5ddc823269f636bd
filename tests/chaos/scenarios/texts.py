"""Texts that are expensive to validate."""

import json
from statistics import quantiles

import httpx

from tests.chaos.harness import Harness, token
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.scenario import scenario

MARKS = "\u0301\u0327" * 60_000
SLOWEST_LETTER = "a" + MARKS[:30]  # to validate
DESCRIPTION = SLOWEST_LETTER * 319  # 9,889 characters; 10,000 are allowed
ROUNDS = 5  # requests of each kind


@scenario(
    "marks: tags of 120,000 combining marks, and the largest batches",
    Allowed(outage=BUSY_SECONDS, slowest=3.0, share_during=1.0),
)
def marks(harness: Harness) -> None:
    operations = [{"op": "create", "title": "x", "description": DESCRIPTION} for _ in range(100)]
    largest = json.dumps({"operations": operations}, ensure_ascii=False).encode()
    hostile = json.dumps({"title": "x", "tags": ["a" + MARKS]}, ensure_ascii=False).encode()
    headers = {"authorization": f"Bearer {token('marks')}", "content-type": "application/json"}

    with (
        harness.serving() as service,
        harness.under_load(service) as load,
        httpx.Client(timeout=30) as client,
    ):
        url = f"{service.url}/api/me/tasks"
        with harness.fault():
            refused = [client.post(url, content=hostile, headers=headers).status_code for _ in range(ROUNDS)]
            done = [
                client.post(f"{url}/batch", content=largest, headers=headers).status_code
                for _ in range(ROUNDS)
            ]
        others = [each for each in load.answers if each.sent_at >= harness.record.began]

    harness.promise((set(refused), set(done)) == ({400}, {200}), f"marks {set(refused)}, batches {set(done)}")
    share = sum(each.is_2xx for each in others) / len(others)
    p99 = quantiles((each.took for each in others), n=100)[98] * 1000
    harness.promise(share == 1, f"the others: {share:.1%} 2xx, p99 {p99:.1f} ms")
