"""One person who sends many expensive requests at once, from a separate process.

In the process of the tests, these requests would slow down the honest person who is measured there.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tests.abuse.sockets import address_of
from tests.support.servers.service import Service

ROOT: Final = Path(__file__).parent.parent.parent
# As many as allowed, and the longest as long as allowed.
WORDS: Final = " ".join("b" + "a" * (39 - number) for number in range(10))
SEARCHES: Final = (
    f"?{urlencode({'q': WORDS, 'sort': 'due'})}",
    f"?{urlencode({'q': WORDS})}",
    "/summary",
    "?tag=none",
)
"""The most expensive lists for somebody whose tasks are like `LONG`."""

LONG: Final = {"op": "create", "title": "x", "description": "a" * 10_000}
TASK_COUNT: Final = 1_200  # tasks like `LONG` of a person whose searches are expensive


@contextmanager
def hogging(
    service: Service, user: str, *, at_once: int, paths: Sequence[str], bodies: Sequence[bytes] = ()
) -> Iterator[Counter[str]]:
    """Let somebody send GETs to these paths, or POST these bodies, again and again until the block ends.

    Yield a counter of the results of `send` (see `hog_process`), which is empty until the block ends.
    """
    answers = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(len(bodies))]
        for file, body in zip(files, bodies, strict=True):
            file.write_bytes(body)
        orders = {
            "address": address_of(service),
            "token": service.token(user),
            "at_once": at_once,
            "paths": list(paths),
            "files": list(map(str, files)),
        }
        command = [sys.executable, "-m", "tests.abuse.hog_process", json.dumps(orders)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"begun\n"
                yield answers
            finally:
                printed, _ = process.communicate(timeout=40)  # closes standard input, which ends the process
                answers.update(json.loads(printed or "{}"))
