"""Descriptions of operations in the OpenAPI document, in addition to what Litestar reads from handlers.

`app.api.requests` reads bodies and queries, more strictly than a framework would. So they are described here.
"""

from typing import Final

from app.api.openapi import parameters
from app.api.openapi.builder import operation
from app.api.requests.request import JSON, MERGE_PATCH

LIST: Final = operation(
    "listTasks",
    parameters=(parameters.USER_ID, *parameters.LIST_QUERY, parameters.LIST_IF_NONE_MATCH),
    headers=("Link", "ETag.list"),
    summary="List tasks",
    description="One page of the tasks that match all filters, by default the newest first and without the "
    'trash. Follow `Link` with `rel="next"` until there is none. A task that does not change meanwhile '
    "appears exactly once, whatever else changes.",
    response_description="A page of tasks",
)
CHANGES: Final = operation(
    "listChanges",
    parameters=(parameters.USER_ID, *parameters.CHANGES_QUERY),
    headers=("Link",),
    summary="List what changed",
    description="Returns each task that changed after `since` exactly once, in its current state, in the "
    "order of its last change. Without `since` it returns all tasks, including those in the trash. Apply "
    "each page to your copy, and store its `next`. Nothing is missed; a change may come again. "
    "410: `since` is too old, or the operator restored a backup: begin again without it, with an empty copy.",
    response_description="A page of changes",
)
SUMMARY: Final = operation(
    "summarizeTasks",
    parameters=(parameters.USER_ID, parameters.TIME_ZONE),
    summary="Count tasks",
    description="Counts the tasks that are open, done, overdue and due today, and the open and done tasks of "
    "each tag. The trash is not counted.",
    response_description="The counts",
)
EVENTS: Final = operation(
    "streamEvents",
    parameters=(parameters.USER_ID, parameters.EVENTS_SINCE, parameters.LAST_EVENT_ID),
    summary="Follow the changes of tasks",
    description="Server-sent events. `ready` begins the stream, and `changes` has a page of the change "
    "feed as soon as there is one. The event `live` says whether changes on other machines arrive at "
    "once. `resync`: read all changes again without `since`. `bye`: connect again after `retry`, with the "
    "last id. If nothing was sent for 15 seconds, a comment is sent. HEAD gets the headers only. A page of "
    "documentation cannot show a stream that does not end: use `curl -N`.",
    response_description="A stream of events",
)
CREATE: Final = operation(
    "createTask",
    parameters=(parameters.USER_ID, parameters.IDEMPOTENCY_KEY),
    body="TaskCreate",
    headers=("Location", "ETag", "Idempotency-Replayed"),
    summary="Create a task",
    response_description="The new task",
)
BATCH: Final = operation(
    "batchTasks",
    parameters=(parameters.USER_ID, parameters.IDEMPOTENCY_KEY),
    body="Batch",
    headers=("Idempotency-Replayed",),
    summary="Do several operations in one transaction",
    description="Either all operations are done, or none: `errors` then names the operation that failed. "
    "The body may have 2 MB, each operation 256 KB.",
    response_description="The result of each operation",
)
READ: Final = operation(
    "getTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_NONE_MATCH),
    headers=("ETag",),
    summary="Read a task",
    response_description="The task",
)
UPDATE: Final = operation(
    "updateTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_MATCH),
    body="TaskUpdate",
    headers=("ETag",),
    summary="Update a task",
    response_description="The task after the update",
    description="Fields that are not sent keep their values. You may send back the whole task as you "
    "read it. `version` in a body is ignored: send `If-Match` to change only the version that you read.",
)
PATCH: Final = operation(
    "patchTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_MATCH),
    body="TaskPatch",
    media_types=(MERGE_PATCH, JSON),
    headers=("ETag",),
    summary="Change some fields of a task",
    response_description="The task after the change",
    description="JSON Merge Patch (RFC 7396). A request that changes nothing does not change the "
    "version either. Send `If-Match` to change only the version that you read: a body with `version` is 400.",
)
RESTORE: Final = operation(
    "restoreTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_MATCH),
    headers=("ETag",),
    summary="Restore a task from the trash",
    response_description="The restored task",
    status_code=200,
)
MOVE: Final = operation(
    "moveTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_MATCH),
    body="Move",
    headers=("ETag",),
    summary="Move a task in the manual order",
    response_description="The task with its new position",
    description="Moves the task right before or right after another task of the list, in the order of "
    "`position`.",
    status_code=200,
)
DELETE: Final = operation(
    "deleteTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.PERMANENT, parameters.IF_MATCH),
    summary="Delete a task",
    response_description="The task is in the trash, or permanently deleted",
    description="Moves the task to the trash, from which it can be restored. With `permanent=true` it is "
    "deleted permanently.",
)
COMPLETE: Final = operation(
    "completeTask",
    parameters=(parameters.USER_ID, parameters.TASK_ID, parameters.IF_MATCH, parameters.IDEMPOTENCY_KEY),
    body="Completion",
    body_required=False,
    headers=("ETag", "Idempotency-Replayed"),
    summary="Complete or reopen a task",
    response_description="The completed or reopened task",
    description="Without a body: toggles the task atomically; safe to repeat only with an Idempotency-Key. "
    "With a body: sets `completed`; safe to repeat.",
)
HEALTH: Final = operation(
    "health",
    public=True,
    summary="Does the process answer?",
    response_description="The process answers",
    tags=["Health"],
)
READY: Final = operation(
    "ready",
    public=True,
    summary="Can requests be served?",
    response_description="Every part is available",
    description="503 while a part is unavailable.",
    can_be_unavailable=True,
    tags=["Health"],
)
