"""`make faults`: run the scenarios one after the other, and print a table of their results."""

import argparse
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Final

import pytest

from benchmarks.machine import current_commit, describe_machine
from tests.chaos import scenarios
from tests.chaos.background import running_background
from tests.chaos.clusters import Cluster, temporary_folder
from tests.chaos.harness import Harness
from tests.chaos.judge import judge
from tests.chaos.report import Result, aligned, write_document
from tests.chaos.scenario import SCENARIOS, Scenario
from tests.chaos.small_disk import NotHere

LONG_ONLY: Final = (
    *("wire-drips", "clock-behind-40", "clock-ahead-120"),  # similar to other scenarios
    "unknown-keys",  # compares two times, so a busy machine may fail it
)
ROOT: Final = Path(__file__).parent.parent.parent


def main() -> int:
    """Play the scenarios; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--short",
        action="store_true",
        help="in 6 minutes: fewer scenarios, and 8,000 requests instead of 300,000",
    )
    options.add_argument("--results", type=Path, default=ROOT / ".state" / "faults.json")
    options.add_argument("--document", action="store_true", help="write the table to docs/faults.md")
    chosen = options.parse_args()
    scenarios.load()
    all_names = [name for name in SCENARIOS if not (chosen.short and name in LONG_ONLY)]
    names = [name for name in os.environ.get("FAULTS", "").split(",") if name] or all_names
    if unknown := [name for name in names if name not in SCENARIOS]:
        sys.stderr.write(f"no such fault: {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}\n")
        return 2
    form = "short" if chosen.short else "long"
    where = f"{describe_machine()}; commit {current_commit()}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, {form} form"
    with temporary_folder() as folder, Cluster(folder) as cluster:
        results = [print_result(play(SCENARIOS[name], cluster, long=not chosen.short)) for name in names]
    say("\n" + aligned(results))
    for result in results:
        if not result.passed:
            say(f"\n{result.title}: {'; '.join(result.reasons)}")
    written = {"where": where, "scenarios": [result.as_json() for result in results]}
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(written, indent=1) + "\n")
    if chosen.document:
        write_document(where, results)
    passed = sum(result.passed for result in results)
    say(f"\n{passed} of {len(results)} scenarios passed. {chosen.results} has every figure.")
    may_skip = "CI" not in os.environ
    is_good = all(result.passed or (result.skipped and may_skip) for result in results)
    return 0 if is_good else 1


def play(scenario: Scenario, cluster: Cluster, *, long: bool) -> Result:
    """Play one scenario in a folder of its own."""
    say(f"{scenario.name} ... ", end="")
    start = time.monotonic()
    result = Result(scenario.name, scenario.title, scenario.allowed, None)
    with temporary_folder() as folder:
        harness = None
        try:
            with (
                cluster.database(folder, own_server=scenario.own_server) as database,
                running_background() as background,
            ):
                harness = Harness(cluster, database, folder, background, long=long)
                with harness.until_audited:
                    scenario.play(harness)
                result.verdict = judge(harness.record, scenario.allowed)
        except (NotHere, pytest.skip.Exception) as reason:
            result.trouble, result.skipped = f"cannot be played on this machine: {reason}", True
        except Exception:  # noqa: BLE001 - a scenario that raises has failed, and the next one is played
            log = "\n".join(path.read_text()[-2000:] for path in folder.glob("**/log"))
            result.trouble = f"{traceback.format_exc()}\n{log}"
        if not result.passed:
            keep_log(scenario.name, folder)
        if harness is not None:
            result.notes = harness.notes
    result.seconds = round(time.monotonic() - start, 1)
    return result


def keep_log(name: str, folder: Path) -> None:
    """Keep the logs of the services, for diagnosis."""
    kept = ROOT / ".state" / "faults"
    kept.mkdir(parents=True, exist_ok=True)
    logs = (path.read_text(errors="replace") for path in sorted(folder.glob("**/log")))
    (kept / f"{name}.log").write_text("\n".join(logs))


def print_result(result: Result) -> Result:
    """Print the result of a scenario, and return the same result."""
    say(f"{'kept' if result.passed else 'FAILED'} ({result.seconds:.0f} s)")
    for note in result.reasons or result.notes:
        say(f"    {note}")
    return result


def say(text: str, end: str = "\n") -> None:
    """Print a text at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
