"""`make bench`: Taskward beside its peers, in one run on one machine."""

import os
import sys
import time
from contextlib import ExitStack

from benchmarks import load, results
from benchmarks.agreement import Disagreement
from benchmarks.bed import Bed
from benchmarks.extras import Extras
from benchmarks.report import Report
from benchmarks.rounds import compare, rounds
from benchmarks.running import DidNotStart
from benchmarks.settings import BenchSettings
from dev.binaries import NoPostgres
from dev.cluster import CannotStart
from dev.steps import Cannot


def main() -> int:
    """Run it; return the exit status."""
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            run(BenchSettings.from_env(os.environ), stack)
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.")
        return 130
    except (Cannot, CannotStart, NoPostgres, DidNotStart, Disagreement, load.LoadFailed) as error:
        print("\nThe benchmark cannot go on:", *str(error).splitlines(), sep="\n  ", file=sys.stderr)
        return 1
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes.")
    return 0


def run(chosen: BenchSettings, stack: ExitStack) -> None:
    """Prepare, compare, measure, write."""
    print("Taskward beside its peers\n", flush=True)
    bed = Bed.made(chosen, stack)
    compare(bed)
    if load.find_wrk() is None:
        print("\n  wrk is not installed, so nothing is timed: install it (Debian: apt-get install wrk)")
        return
    report = Report(rounds(bed))
    extras = Extras.measured(bed)
    for line in (*report.table(), *extras.table()):
        print(line)
    results.write(bed, report, extras)


if __name__ == "__main__":
    sys.exit(main())
