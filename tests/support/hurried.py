"""Runs `app` with short times for event streams: `python -m tests.support.hurried python -m app serve`.

The workers are forked from this process, so they have these times too. The variable `STREAMS` is the number of
streams that a process allows, `LIFETIME` the seconds that a stream may stay open.
"""

import os
import sys

from app.__main__ import main
from app.api import events
from app.live import hub

HEARTBEAT = 0.5  # seconds
LIFETIME = float(os.environ.get("LIFETIME", "4"))  # seconds
SEND_TIMEOUT = 1.0  # seconds

if __name__ == "__main__":
    events.HEARTBEAT = HEARTBEAT  # type: ignore[misc]  # a constant of the service
    events.LIFETIME = LIFETIME  # type: ignore[misc]
    events.SEND_TIMEOUT = SEND_TIMEOUT  # type: ignore[misc]
    hub.PROCESS_MAX = int(os.environ.get("STREAMS", hub.PROCESS_MAX))  # type: ignore[misc]
    sys.argv = sys.argv[3:]  # drops this module, `python` and `-m`
    main()
