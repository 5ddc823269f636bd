"""Prints each step while it runs, and how long it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Cannot(Exception):
    """The run cannot go on; the message says why and what to do, a line for each reason."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show a step with its time when it is done, with its failure when it is not."""
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


def progress(what: str, share: float) -> None:
    """Show how far something long is: on one line in a terminal, elsewhere a line each."""
    if sys.stdout.isatty():
        bar = "█" * round(share * 20)
        print(f"\r\033[K  {bar:<20} {share:4.0%}  {what}", end="\n" if share == 1 else "", flush=True)
    else:
        print(f"  {share:4.0%}  {what}", flush=True)
