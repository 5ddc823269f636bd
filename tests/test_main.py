"""How a process that imports `app.main` collects garbage."""

import json
import subprocess
import sys

from tests.conftest import environment_for

COLLECTIONS = """
import gc, json
import app.main
before = [one["collections"] for one in gc.get_stats()]
kept = []
for _ in range(gc.get_threshold()[0] * gc.get_threshold()[1] * 100):
    kept.append([])  # these objects stay, so the collector runs
    kept = kept if len(kept) < 100_000 else []
after = [one["collections"] for one in gc.get_stats()]
print(json.dumps([gc.isenabled(), gc.get_freeze_count(), *(b - a for a, b in zip(before, after))]))
"""


def test_a_process_that_serves_collects_younger_objects_often_and_all_objects_seldom() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", COLLECTIONS],
        env=environment_for("postgresql://nobody@127.0.0.1:9/none"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    enabled, frozen, _, younger, all_objects = json.loads(ran.stdout.splitlines()[-1])

    assert enabled
    assert frozen > 10_000  # the objects of the start are never scanned
    assert younger > 50
    assert all_objects == 0  # with Python's defaults there would be one for about ten of `younger`
