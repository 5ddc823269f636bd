"""A person who stores as much as allowed, and tries to store more."""

import itertools
import random
from statistics import quantiles
from typing import Any

import httpx

from tests.chaos.harness import Harness, token
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.scenario import scenario

TASKS = 50  # in each batch
BATCHES = 60  # more than fit into `BYTES_MAX`
BYTES_MAX = 32 * 1024 * 1024  # bytes


@scenario(
    "one person stores all the responses that Idempotency-Keys allow",
    Allowed(outage=BUSY_SECONDS, slowest=3.0, share_during=1.0),
)
def hoarder(harness: Harness) -> None:
    letters, chance = [chr(code) for code in range(0x4E00, 0x9F00)], random.Random(1)
    text = "".join(chance.choices(letters, k=9_000))  # hardly compressible
    large = [{"op": "create", "title": "x", "description": text[n:] + text[:n]} for n in range(TASKS)]
    keys = itertools.count()

    with (
        harness.serving() as service,
        harness.under_load(service) as load,
        httpx.Client(timeout=30) as client,
    ):
        client.headers["authorization"] = f"Bearer {token('hoarder')}"

        def batch(operations: list[dict[str, Any]]) -> httpx.Response:
            return client.post(
                f"{service.url}/api/me/tasks/batch",
                json={"operations": operations},
                headers={"idempotency-key": str(next(keys))},
            )

        with harness.fault():
            made = batch(large).json()["results"]
            nothing = [{"op": "complete", "id": each["task"]["id"], "completed": False} for each in made]
            statuses = [batch(nothing).status_code for _ in range(BATCHES)]
        done, refused = statuses.count(200), statuses.count(429)
        kept = int(harness.sql("SELECT sum(octet_length(body)) FROM kept_answers WHERE user_id = 'hoarder'"))
        disk = int(harness.sql("SELECT pg_total_relation_size('kept_answers')"))
        harness.promise(
            done > 0 < refused and done + refused == BATCHES,
            f"{done} of {BATCHES} batches kept, {refused} x 429",
        )
        harness.promise(
            kept <= BYTES_MAX and disk < 1.2 * BYTES_MAX, f"{kept:,} bytes kept, {disk:,} on disk"
        )
        others = [each for each in load.answers if each.sent_at >= harness.record.began]
        share = sum(each.is_2xx for each in others) / len(others)
        p99 = quantiles((each.took for each in others), n=100)[98] * 1000
        harness.promise(share == 1, f"the others: {share:.1%} 2xx, p99 {p99:.1f} ms")
