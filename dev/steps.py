"""Telling a person what happens, while it happens, and how long it took."""

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
