"""Floods the service with many forged tokens a second, from a separate process with low priority.

In odd seconds (of the monotonic clock, which all processes share) only the key and the signature of the tokens are
wrong. In even seconds the tokens have another issuer. They cost the client the same, but the service needs no key to
refuse them.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter

from tests.chaos.client import Client
from tests.support.people import ORIGIN
from tests.support.signing import b64

CONNECTIONS = 16


def has_unknown_keys(moment: float) -> bool:
    """Return whether the tokens of this second have the right issuer and unknown keys."""
    return bool(int(moment) % 2)


def forged_token(number: int, *, unknown: bool) -> str:
    """Make a token with a random signature."""
    now = int(time.time())
    issuer = ORIGIN if unknown else "https://elsewhere.example.com"
    claims = {"sub": "x", "iss": issuer, "aud": ORIGIN, "iat": now, "exp": now + 900, "jti": number}
    header = {"alg": "EdDSA", "kid": f"{number}-{os.getpid()}"}
    return ".".join((b64(json.dumps(header).encode()), b64(json.dumps(claims).encode()), b64(os.urandom(64))))


async def flood(port: int, rate: float, seconds: float) -> dict[str, int]:
    """Send requests at a steady rate; count the statuses of those with unknown keys."""
    statuses: Counter[str] = Counter()
    start = time.monotonic()

    async def ask(first: int) -> None:
        client, number = Client(port), first
        while (due := start + number / rate) < start + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            unknown = has_unknown_keys(time.monotonic())
            status, _, _ = await client.ask("GET", "/api/me/tasks", forged_token(number, unknown=unknown))
            if unknown:
                statuses[status] += 1
            number += CONNECTIONS
        client.close()

    await asyncio.gather(*(ask(first) for first in range(CONNECTIONS)))
    return dict(statuses)


if __name__ == "__main__":
    os.nice(10)
    answered = asyncio.run(flood(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.write(json.dumps(answered))
