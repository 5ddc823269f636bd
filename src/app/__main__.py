"""Entry point of the command line `app`, and of `python -m app`."""

import signal
import sys


def main() -> None:
    """Run the command line. SIGTERM ends `app serve` with status 0 from here on, as it does later.

    The handler is set before the imports, which take most of a second.
    """
    if sys.argv[1:2] == ["serve"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # granian replaces it
    from app.cli import main as run  # noqa: PLC0415 - see the docstring

    run()


if __name__ == "__main__":
    main()
