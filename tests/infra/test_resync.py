"""After a restore and `app resync`, old tokens are invalid, and an old entity tag never matches other contents."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.composition import compose
from app.infra import resync
from app.infra.resync import raise_revisions
from app.infra.statements.tasks import VERSIONS_SKIPPED
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People, Person
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import app as run_app

pytestmark = pytest.mark.server


@asynccontextmanager
async def served(url: str) -> AsyncIterator[People]:
    """Serve a database."""
    settings = Settings.from_env(environment_for(url))
    async with client_of(compose(settings)) as client:
        yield People(client)


async def write(person: Person) -> list[tuple[str, str]]:
    """Write several times. Return the token and the list's entity tag after each write."""
    known = []
    for number in range(4):
        task = await person.create(f"task {number}")
        if number == 2:
            await person.ask("DELETE", f"{task['id']}?permanent=true")
        token = (await person.ask("GET", "changes")).json()["next"]
        known.append((token, (await person.ask("GET")).headers["etag"]))
    return known


async def edit(person: Person, task_id: str) -> list[str]:
    """Change a task several times. Return its entity tag after each change."""
    answers = [
        await person.ask("PATCH", task_id, json={"priority": name}) for name in ("low", "high", "none")
    ]
    return [answer.headers["etag"] for answer in answers]


async def still_valid(person: Person, known: list[tuple[str, str]]) -> list[object]:
    """Return the tokens that do not get 410, and the entity tags that do not get 200."""
    found: list[object] = []
    for token, etag in known:
        changes = await person.ask("GET", f"changes?since={token}")
        listed = await person.ask("GET", headers={"if-none-match": etag})
        found += [token] if changes.status_code != 410 else []
        found += [etag] if listed.status_code != 200 else []
    return found


def back_up(postgres: PostgresServer, source: str, dump: Path) -> None:
    """Dump a database."""
    subprocess.run([postgres.bin / "pg_dump", "--format=custom", f"--file={dump}", source], check=True)


def restore(postgres: PostgresServer, source: str, dump: Path) -> str:
    """Restore a dump into a new database."""
    target = postgres.new_database()
    options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    subprocess.run([postgres.bin / "pg_restore", *options, f"--dbname={target}", dump], check=True)
    return target


async def test_tokens_and_etags_from_before_a_restore_are_invalid_after_it_and_app_resync(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    source, dump = await migrated_database(postgres), tmp_path / "dump"
    async with served(source) as people:
        ann = people.one("ann")
        edited = (await ann.create("edited"))["id"]
        known = await write(ann)
        superuser = postgres.url_of(DatabaseAddress.parse(source).database)
        back_up(postgres, superuser, dump)
        known += await write(ann)
        lost = await edit(ann, edited)
        bob = people.one("bob")  # the backup has nothing of him
        of_bob = await write(bob)

    target = restore(postgres, source, dump)
    for command in ("migrate", "resync"):
        done = run_app(command, env={"DATABASE_URL": target}, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    first, advice = done.stdout.splitlines()
    assert first == "the changes of 1 person must be read again"
    assert advice.startswith("restart `app serve` now")

    async with served(target) as people:
        now = {name: Person(people.client, person.user_id) for name, person in (("ann", ann), ("bob", bob))}
        for _ in range(3):
            assert await still_valid(now["ann"], known) == []
            assert await still_valid(now["bob"], of_bob) == []
            assert set(await edit(now["ann"], edited)).isdisjoint(lost)
            seen = await now["ann"].ask("GET", edited, headers={"if-none-match": ", ".join(lost)})
            assert seen.status_code == 200
            await write(now["ann"])
            new = await write(now["bob"])
        assert (await now["bob"].ask("GET", f"changes?since={new[-1][0]}")).status_code == 200


async def test_every_change_of_a_task_skips_the_versions_that_a_lost_database_may_have_given(
    postgres: PostgresServer,
) -> None:
    url = await migrated_database(postgres)
    key = {"idempotency-key": "once"}
    async with served(url) as people:
        ann = people.one("ann")
        one, other, gone = [(await ann.create(name))["id"] for name in ("one", "other", "gone")]
        await ann.ask("DELETE", gone)
        first, second = (
            {"operations": [{"op": "update", "id": other, "title": name}]} for name in ("new", "newer")
        )
        changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("PATCH", one, {"json": {"title": "new"}}),
            ("PATCH", f"{one}/complete", {}),
            ("PATCH", f"{one}/complete", {"headers": key}),
            ("POST", f"{one}/move", {"json": {"before": other}}),
            ("POST", f"{gone}/restore", {}),
            ("POST", "batch", {"json": first}),
            ("POST", "batch", {"json": second, "headers": {"idempotency-key": "twice"}}),
        )
        for resyncs, (method, path, arguments) in enumerate(changes, start=1):
            await raise_revisions(DatabaseAddress.parse(url))
            answer = await ann.ask(method, path, **arguments)
            assert answer.status_code == 200, answer.text
            task = answer.json() if path != "batch" else answer.json()["results"][0]["task"]
            assert task["version"] // VERSIONS_SKIPPED == resyncs, path


async def test_a_task_without_a_revision_gets_a_version_of_32_bits_although_its_owners_revision_is_higher(
    postgres: PostgresServer,
) -> None:
    url = await migrated_database(postgres)
    async with served(url) as people:
        ann = people.one("ann")
        task = await ann.create()
        name = DatabaseAddress.parse(url).database
        postgres.query(
            "UPDATE tasks SET revision = 0; UPDATE task_owners SET revision = 2::bigint ^ 52", name
        )

        changed = (await ann.ask("PATCH", f"{task['id']}/complete")).json()

    assert 2 < changed["version"] < 2**31


async def test_app_resync_raises_the_revision_and_the_floor_of_every_owner_in_several_transactions(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "BATCH", 2)
    url = await migrated_database(postgres)
    name = DatabaseAddress.parse(url).database
    owners = ["é", "a", "Z", "\U0001f331", "z"]
    for owner in owners:
        postgres.query(f"INSERT INTO task_owners (user_id, revision, tasks) VALUES ('{owner}', 7, 0)", name)

    assert await raise_revisions(DatabaseAddress.parse(url)) == len(owners)

    raised = f"SELECT count(*) FROM task_owners WHERE revision = floor AND revision = 7 + {2**32}"
    assert postgres.query(raised, name) == str(len(owners))
