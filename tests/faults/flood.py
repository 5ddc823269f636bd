"""Strangers: many tokens a second that nobody has signed, from a process of its own that steps back for others.

`unknown` ones are perfect but for a key that nobody knows; `foreign` ones cost the client the same, and need no key to be refused.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter

from tests.faults.client import Client
from tests.people import ORIGIN
from tests.signing import b64

CONNECTIONS = 16


def stranger(kind: str, number: int) -> str:
    """Write a token."""
    issuer = ORIGIN if kind == "unknown" else "https://elsewhere.example.com"
    now = int(time.time())
    claims = {"sub": "x", "iss": issuer, "aud": ORIGIN, "iat": now, "exp": now + 900, "jti": number}
    header = {"alg": "EdDSA", "kid": f"{kind}-{number}-{os.getpid()}"}
    return ".".join((b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), b64(os.urandom(64))))


async def flood(port: int, kind: str, rate: float, seconds: float) -> dict[str, float]:
    """Ask at a steady rate; return how often each status was told."""
    statuses: Counter[str] = Counter()
    start = time.monotonic()

    async def ask(first: int) -> None:
        client, number = Client(port), first
        while (due := start + number / rate) < start + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            status, _, _ = await client.ask("GET", "/api/me/tasks", stranger(kind, number))
            statuses[status] += 1
            number += CONNECTIONS
        client.close()

    await asyncio.gather(*(ask(first) for first in range(CONNECTIONS)))
    return dict(statuses) | {"seconds": round(time.monotonic() - start, 1)}


if __name__ == "__main__":
    os.nice(10)
    told = asyncio.run(flood(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
    sys.stdout.write(json.dumps(told))
