"""Prints each step while it runs, and how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class CannotRun(Exception):
    """The run cannot continue; the message has a line for each reason and what to do."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print a step, and at its end the time that it took, or that it failed."""
    began = time.monotonic()
    live = sys.stdout.isatty()
    back = "\r" if live else ""
    if live:
        print(f"  {name} …", end="", flush=True)
    try:
        yield
    except BaseException:
        print(f"{back}  ✗ {name}", flush=True)
        raise
    print(f"{back}  ✓ {name}  {time.monotonic() - began:.1f} s", flush=True)


def print_progress(what: str, share: float) -> None:
    """Print the progress: on one line in a terminal, elsewhere on a new line each time."""
    if sys.stdout.isatty():
        bar = "█" * round(share * 20)
        # `\033[K` clears the line.
        print(f"\r\033[K  {bar:<20} {share:4.0%}  {what}", end="\n" if share == 1 else "", flush=True)
    else:
        print(f"  {share:4.0%}  {what}", flush=True)
