"""Uses the client that openapi-python-client generates. `test_generated.py` runs this script."""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN003, ANN201

import os

from generated import AuthenticatedClient, models
from generated.api.health import health, ready
from generated.api.tasks import (
    batch_tasks,
    complete_task,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    move_task,
    patch_task,
    restore_task,
    summarize_tasks,
    update_task,
)

client = AuthenticatedClient(base_url=os.environ["TASKS_URL"], token=os.environ["TOKEN"])


def ask(operation, *path, **more):
    """Return the status, the parsed body and the headers of the response."""
    answer = operation.sync_detailed(*path, client=client, **more)
    return answer.status_code, answer.parsed, answer.headers


status, task, headers = ask(
    create_task, "me", body=models.TaskCreate(title="one", priority=models.Priority.HIGH, tags=["home"])
)
assert (status, task.priority, task.due) == (201, models.Priority.HIGH, None)
status, task, headers = ask(update_task, "me", task.id, body=models.TaskUpdate(title="two"))
assert (status, task.title, task.priority, task.tags) == (200, "two", models.Priority.HIGH, ["home"])
status, stale, _ = ask(patch_task, "me", task.id, body=models.TaskPatch(title="x"), if_match='"1"')
assert (status, isinstance(stale, models.Problem)) == (412, True)
status, task, headers = ask(
    patch_task, "me", task.id, body=models.TaskPatch(due="2026-01-09"), if_match=headers["etag"]
)
assert (status, task.due) == (200, "2026-01-09")
assert ask(get_task, "me", task.id)[1] == task
assert ask(complete_task, "me", task.id)[1].completed
assert not ask(complete_task, "me", task.id, body=models.Completion(completed=False))[1].completed
made = [models.BatchCreate(op="create", title=f"task {number}") for number in range(4)]
status, batch, _ = ask(batch_tasks, "me", body=models.Batch(operations=made), idempotency_key="once")
assert (status, [result.status for result in batch.results]) == (200, [201] * 4)
assert ask(batch_tasks, "me", body=models.Batch(operations=made), idempotency_key="once")[1] == batch
other = batch.results[0].task.id
assert ask(move_task, "me", task.id, body=models.Move(before=other))[0] == 200
seen, cursor = [], {}
while True:
    status, page, headers = ask(list_tasks, "me", limit=2, sort=models.Sort.TITLE, **cursor)
    seen += [one.title for one in page]
    if "link" not in headers:
        break
    cursor = {"cursor": headers["link"].split("cursor=")[1].split("&")[0].split(">")[0]}
assert seen == ["task 0", "task 1", "task 2", "task 3", "two"], seen
assert len(ask(list_tasks, "me", priority=models.Priority.HIGH, tag=["home"])[1]) == 1
assert ask(summarize_tasks, "me", tz="Europe/Berlin")[1].open_ == 5
assert ask(delete_task, "me", task.id)[0] == 204
assert ask(restore_task, "me", task.id)[1].id == task.id
assert ask(delete_task, "me", task.id, permanent=True)[0] == 204
status, gone, _ = ask(get_task, "me", task.id)
assert (status, gone.type_) == (404, "/problems/task-not-found")
assert ask(health)[0] == ask(ready)[0] == 200
