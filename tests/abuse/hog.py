"""One person who sends many expensive requests at once, from a separate process.

In the process of the tests it would hold back the person who is measured there.
"""

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode
from uuid import uuid4

from tests.abuse.sockets import address_of
from tests.support.servers.service import Service

ROOT: Final = Path(__file__).parent.parent.parent
WORDS: Final = " ".join("b" + "a" * (39 - number) for number in range(10))
SEARCHES: Final = (
    f"?{urlencode({'q': WORDS, 'sort': 'due'})}",
    f"?{urlencode({'q': WORDS})}",
    "/summary",
    f"?tag={quote('none')}",
)
"""The dearest lists; worth it for somebody with `LONG` tasks."""

LONG: Final = {"op": "create", "title": "x", "description": "a" * 10_000}
TASKS: Final = 1_200
PAUSE: Final = 0.1  # seconds, after a refusal


@dataclass
class Hog:
    """What became of the requests, once it is over."""

    answers: Counter[str] = field(default_factory=Counter)  # by status, or by the tail of a problem's type


@contextmanager
def hogging(
    service: Service, user: str, *, at_once: int, paths: Sequence[str], bodies: Sequence[bytes] = ()
) -> Iterator[Hog]:
    """Let somebody ask for all of these paths, or send all of these bodies, until the block ends."""
    hog = Hog()
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
        command = [sys.executable, "-m", "tests.abuse.hog", json.dumps(orders)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"begun\n"
                yield hog
            finally:
                printed, _ = process.communicate(timeout=40)  # its standard input ends: so does it
                hog.answers.update(json.loads(printed or "{}"))


def main(orders: str) -> None:
    """Ask until standard input ends, and print what was answered."""
    how = json.loads(orders)
    host, port = how["address"]
    bodies = [Path(file).read_bytes() for file in how["files"]]
    ended: list[bool] = []
    began = count()

    def ask(number: int) -> Counter[str]:
        answers: Counter[str] = Counter()
        with closing(http.client.HTTPConnection(host, port, timeout=30)) as connection:
            while not ended:
                path, body = how["paths"][number % len(how["paths"])], None
                if bodies:
                    body = bodies[next(began) % len(bodies)]
                answer = one(connection, path, body, how["token"])
                answers[answer] += 1
                time.sleep(0 if answer == "200" else PAUSE)
        return answers

    with ThreadPoolExecutor(how["at_once"]) as threads:
        asking = [threads.submit(ask, number) for number in range(how["at_once"])]
        print("begun", flush=True)  # noqa: T201 - for `hogging`
        sys.stdin.read()
        ended.append(True)
    print(json.dumps(sum((each.result() for each in asking), Counter())))  # noqa: T201 - for `hogging`


def one(connection: http.client.HTTPConnection, path: str, body: bytes | None, token: str) -> str:
    """Ask once, and name the answer."""
    headers = {"authorization": f"Bearer {token}"}
    if body is not None:
        headers |= {"content-type": "application/json", "idempotency-key": str(uuid4())}
    try:
        connection.request("GET" if body is None else "POST", f"/api/me/tasks{path}", body, headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return "broken"
    if answer.status < 300:
        return "200"
    return str(json.loads(body)["type"].rpartition("/")[2])


if __name__ == "__main__":
    main(sys.argv[1])
