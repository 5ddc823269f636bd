"""The process of a person who sends many requests at once: `python -m tests.abuse.hog_process <orders as JSON>`.

It imports the standard library only. Other imports would take CPU time from the service that the test measures.
"""

import http.client
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final
from uuid import uuid4

PAUSE: Final = 0.1  # seconds, after each request without success


def main(orders_json: str) -> None:
    """Send requests until standard input ends, then print how often each result occurred."""
    orders = json.loads(orders_json)
    host, port = orders["address"]
    bodies = [Path(file).read_bytes() for file in orders["files"]]
    ended = threading.Event()
    body_numbers = count()

    def ask(number: int) -> Counter[str]:
        answers: Counter[str] = Counter()
        with closing(http.client.HTTPConnection(host, port, timeout=30)) as connection:
            while not ended.is_set():
                path, body = orders["paths"][number % len(orders["paths"])], None
                if bodies:
                    body = bodies[next(body_numbers) % len(bodies)]
                answer = send(connection, path, body, orders["token"])
                answers[answer] += 1
                time.sleep(0 if answer == "200" else PAUSE)
        return answers

    with ThreadPoolExecutor(orders["at_once"]) as threads:
        asking = [threads.submit(ask, number) for number in range(orders["at_once"])]
        print("begun", flush=True)  # noqa: T201 - for `hogging`
        sys.stdin.read()
        ended.set()
    print(json.dumps(sum((each.result() for each in asking), Counter())))  # noqa: T201 - for `hogging`


def send(connection: http.client.HTTPConnection, path: str, body: bytes | None, token: str) -> str:
    """Send a request; return "200" for any success, "broken" if it failed, else the name of the problem."""
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
