"""`make bench` and `make bench-growth`."""

import os
import sys
import time
from contextlib import ExitStack

from benchmarks import comparison, growth
from benchmarks.agreement import Disagreement
from benchmarks.load import LoadFailed
from benchmarks.running import DidNotStart
from benchmarks.settings import BenchSettings
from dev.binaries import NoPostgres
from dev.cluster import CannotStart
from dev.postgres import QueryFailed
from dev.steps import CannotRun


def main() -> int:
    """Run the requested scenes; return the exit status."""
    began = time.monotonic()
    run = growth.run if sys.argv[1:] == ["growth"] else comparison.run
    try:
        with ExitStack() as stack:
            run(BenchSettings.from_env(os.environ), stack)
    except KeyboardInterrupt:
        print("\nStopped; nothing was written.")
        return 130
    except (CannotRun, CannotStart, NoPostgres, QueryFailed, DidNotStart, Disagreement, LoadFailed) as error:
        print("\nThe benchmark cannot go on:", *str(error).splitlines(), sep="\n  ", file=sys.stderr)
        return 1
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
