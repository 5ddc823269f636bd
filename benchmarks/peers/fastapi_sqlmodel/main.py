"""Four operations of the API (list, create, read, complete) in FastAPI and SQLModel.

The code is written as their documentation recommends: async, on asyncpg.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time_ns
from typing import Annotated, Literal
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import ARRAY, DateTime, String
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

SECRET = os.environ.get("BETTER_AUTH_SECRET", "")
ISSUER, AUDIENCE = os.environ["JWT_ISSUER"], os.environ["JWT_AUDIENCE"]
KEYS = jwt.PyJWKClient(os.environ["JWKS_URL"]) if "JWKS_URL" in os.environ else None

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://").replace("sslmode=", "ssl="),
    pool_size=int(os.environ["POOL"]),
    max_overflow=0,
)


class TaskIn(SQLModel):
    title: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=10_000)
    completed: bool = False
    due: str | None = None
    priority: Literal["none", "low", "medium", "high"] = Field(default="none", sa_type=String)
    tags: list[str] = Field(default_factory=list, sa_type=ARRAY(String), max_length=20)


class TaskOut(TaskIn):
    id: UUID
    user_id: str
    position: str
    version: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    trashed_at: datetime | None


class Task(TaskIn, table=True):
    __tablename__ = "tasks"

    user_id: str = Field(primary_key=True)
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    position: str = Field(default_factory=lambda: f"{2**63 - time_ns():016x}")
    version: int = 1
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    trashed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=DateTime(timezone=True))


class Completion(BaseModel):
    completed: bool


async def session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as opened:
        yield opened


async def owner(
    user_id: str, credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]
) -> str:
    # `async def`, because FastAPI runs a `def` dependency in a thread. Fetching the keys blocks, but seldom:
    # PyJWKClient caches them for five minutes.
    token = credentials.credentials
    try:
        key = KEYS.get_signing_key_from_jwt(token).key if KEYS else SECRET
        claims = jwt.decode(
            token, key, algorithms=["EdDSA" if KEYS else "HS256"], issuer=ISSUER, audience=AUDIENCE
        )
    except jwt.PyJWTError:
        raise HTTPException(401, "Not authenticated") from None
    if claims["sub"] != user_id:
        raise HTTPException(403, "Not your list")
    return str(claims["sub"])


Session = Annotated[AsyncSession, Depends(session)]
Owner = Annotated[str, Depends(owner)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/api/{user_id}/tasks", response_model=list[TaskOut])
async def list_tasks(
    owner: Owner, session: Session, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[Task]:
    not_trashed = select(Task).where(Task.user_id == owner, col(Task.trashed_at).is_(None))
    newest = not_trashed.order_by(col(Task.id).desc()).limit(limit)
    return list((await session.exec(newest)).all())


@app.post("/api/{user_id}/tasks", response_model=TaskOut, status_code=201)
async def create_task(owner: Owner, session: Session, new: TaskIn, response: Response) -> Task:
    task = Task(**new.model_dump(), user_id=owner)
    session.add(task)
    await session.commit()
    response.headers["location"] = f"/api/{owner}/tasks/{task.id}"
    return task


async def the_task(task_id: UUID, owner: Owner, session: Session) -> Task:
    task = (await session.exec(select(Task).where(Task.user_id == owner, Task.id == task_id))).first()
    if task is None or task.trashed_at is not None:
        raise HTTPException(404, "No such task")
    return task


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskOut)
async def get_task(task: Annotated[Task, Depends(the_task)]) -> Task:
    return task


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskOut)
async def complete_task(
    task: Annotated[Task, Depends(the_task)], session: Session, completion: Completion | None = None
) -> Task:
    task.completed = completion.completed if completion else not task.completed
    task.updated_at = datetime.now(UTC)
    task.completed_at = task.updated_at if task.completed else None
    task.version += 1
    session.add(task)
    await session.commit()
    return task
