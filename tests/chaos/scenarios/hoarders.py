"""Somebody who keeps as much here as they may, and more."""

import itertools
import random
from statistics import quantiles
from typing import Any

import httpx

from tests.faults.judging import BUSY, Allowed
from tests.faults.row import row
from tests.faults.scene import Scene, token

TASKS = 50
ASKED = 60
AT_MOST = 32 * 1024 * 1024  # bytes


@row("a hoarder of answers under Idempotency-Keys", Allowed(outage=BUSY, slowest=3.0, during=1.0))
def hoarder(scene: Scene) -> None:
    letters, chance = [chr(code) for code in range(0x4E00, 0x9F00)], random.Random(1)
    text = "".join(chance.choices(letters, k=9_000))  # nothing of which can be compressed away
    large = [{"op": "create", "title": "x", "description": text[n:] + text[:n]} for n in range(TASKS)]
    keys = itertools.count()

    with scene.serving() as service, scene.under_load(service) as load, httpx.Client(timeout=30) as client:
        client.headers["authorization"] = f"Bearer {token('hoarder')}"

        def batch(operations: list[dict[str, Any]]) -> httpx.Response:
            return client.post(
                f"{service.url}/api/me/tasks/batch",
                json={"operations": operations},
                headers={"idempotency-key": str(next(keys))},
            )

        with scene.fault():
            made = batch(large).json()["results"]
            nothing = [{"op": "complete", "id": each["task"]["id"], "completed": False} for each in made]
            statuses = [batch(nothing).status_code for _ in range(ASKED)]
        done, refused = statuses.count(200), statuses.count(429)
        kept = int(scene.sql("SELECT sum(octet_length(body)) FROM kept_answers WHERE user_id = 'hoarder'"))
        disk = int(scene.sql("SELECT pg_total_relation_size('kept_answers')"))
        scene.promise(
            done > 0 < refused and done + refused == ASKED, f"{done} of {ASKED} batches kept, {refused} x 429"
        )
        scene.promise(kept <= AT_MOST and disk < 1.2 * AT_MOST, f"{kept:,} bytes kept, {disk:,} on disk")
        others = [each for each in load.answers if each.asked >= scene.record.began]
        share = sum(each.well for each in others) / len(others)
        p99 = quantiles((each.took for each in others), n=100)[98] * 1000
        scene.promise(share == 1, f"the others: {share:.1%} 2xx, p99 {p99:.1f} ms")
