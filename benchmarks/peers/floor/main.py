"""Four operations of the API (list, create, read, complete) with as little CPU as Python allows.

A bare ASGI function, asyncpg, msgspec, and a cache of verified tokens. It has no framework, no row-level
security, no error documents and no log, and hardly any validation: do not use it in production.
"""

import json
import os
import time
from datetime import UTC, datetime
from typing import Any
from urllib.request import urlopen
from uuid import UUID, uuid4

import asyncpg
import jwt
import msgspec

ISSUER, AUDIENCE = os.environ["JWT_ISSUER"], os.environ["JWT_AUDIENCE"]
ALGORITHM = "EdDSA" if "JWKS_URL" in os.environ else "HS256"

COLUMNS = (
    "id, user_id, title, description, completed, due, priority, tags, position, version,"
    " created_at, updated_at, completed_at, trashed_at"
)
LIST = f"SELECT {COLUMNS} FROM tasks WHERE user_id = $1 AND trashed_at IS NULL ORDER BY id DESC LIMIT $2"
READ = f"SELECT {COLUMNS} FROM tasks WHERE user_id = $1 AND id = $2 AND trashed_at IS NULL"
CREATE = (
    "INSERT INTO tasks (id, user_id, title, description, completed, created_at, updated_at, priority, tags,"
    f" position, version) VALUES ($1, $2, $3, $4, $5, $6, $6, 'none', '{{}}', $7, 1) RETURNING {COLUMNS}"
)
TOGGLE = (
    "UPDATE tasks SET completed = NOT completed, updated_at = $3, version = version + 1,"
    " completed_at = CASE WHEN completed THEN NULL ELSE $3::timestamptz END"
    " WHERE user_id = $1 AND id = $2 AND trashed_at IS NULL"
    f" RETURNING {COLUMNS}"
)

encode = msgspec.json.encode
tokens: dict[bytes, tuple[str, float]] = {}
JSON = [(b"content-type", b"application/json")]
pool: Any = None
key: Any = os.environ.get("BETTER_AUTH_SECRET")


class Task(msgspec.Struct):
    id: UUID
    user_id: str
    title: str
    description: str | None
    completed: bool
    due: str | None
    priority: str
    tags: list[str]
    position: str
    version: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    trashed_at: datetime | None


class NewTask(msgspec.Struct):
    title: str
    description: str | None = None
    completed: bool = False


read_new = msgspec.json.Decoder(NewTask).decode


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    headers = dict(scope["headers"])
    owner = verified(headers.get(b"authorization", b""))
    parts = scope["path"].split("/")  # "", api, user, tasks, id, complete
    if owner is None or owner != parts[2]:
        await answer(send, 401 if owner is None else 403, b"{}")
    elif len(parts) == 4 and scope["method"] == "GET":
        limit = int(scope["query_string"].partition(b"limit=")[2] or 50)
        rows = await pool.fetch(LIST, owner, limit)
        await answer(send, 200, encode([Task(*row) for row in rows]))
    elif len(parts) == 4:
        new = read_new((await receive())["body"])
        position = f"{2**63 - time.time_ns():016x}"
        values = (uuid4(), owner, new.title, new.description, new.completed, datetime.now(UTC), position)
        await answer(send, 201, encode(Task(*await pool.fetchrow(CREATE, *values))))
    else:
        if len(parts) == 5:
            row = await pool.fetchrow(READ, owner, UUID(parts[4]))
        else:
            row = await pool.fetchrow(TOGGLE, owner, UUID(parts[4]), datetime.now(UTC))
        await answer(send, 200 if row else 404, encode(Task(*row)) if row else b"{}")


def verified(authorization: bytes) -> str | None:
    known = tokens.get(authorization)
    if known is None:
        try:
            claims = jwt.decode(
                authorization[7:], key, algorithms=[ALGORITHM], issuer=ISSUER, audience=AUDIENCE
            )
        except jwt.PyJWTError:
            return None
        known = tokens[authorization] = claims["sub"], claims["exp"]
    return known[0] if known[1] > time.time() else None


async def answer(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": JSON})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Any, send: Any) -> None:
    global pool, key
    await receive()
    if ALGORITHM == "EdDSA":
        with urlopen(os.environ["JWKS_URL"]) as response:
            key = jwt.PyJWK(json.load(response)["keys"][0]).key
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], max_size=int(os.environ["POOL"]))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})
