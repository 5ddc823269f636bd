// Uses the client that @hey-api/openapi-ts generates. `test_generated.py` compiles and runs this script.
import assert from "node:assert/strict";
import { client } from "./generated/client.gen";
import * as api from "./generated/sdk.gen";

client.setConfig({ baseUrl: process.env.TASKS_URL, auth: () => process.env.TOKEN });
const me = { user_id: "me" };
const of = (task_id: string) => ({ user_id: "me", task_id });

const made = await api.createTask({ path: me, body: { title: "one", priority: "high", tags: ["home"] }, throwOnError: true });
const id = made.data.id;
assert.equal(made.response.status, 201);
const put = await api.updateTask({ path: of(id), body: { title: "two" }, throwOnError: true });
assert.deepEqual([put.data.title, put.data.priority, put.data.tags], ["two", "high", ["home"]]);
const stale = await api.patchTask({ path: of(id), body: { title: "x" }, headers: { "If-Match": '"1"' } });
assert.deepEqual([stale.response.status, stale.error?.type], [412, "/problems/task-changed"]);
const etag = put.response.headers.get("etag") ?? "";
const patched = await api.patchTask({ path: of(id), body: { due: "2026-01-09" }, headers: { "If-Match": etag }, throwOnError: true });
assert.equal(patched.data.due, "2026-01-09");
assert.deepEqual((await api.getTask({ path: of(id), throwOnError: true })).data, patched.data);
assert.equal((await api.completeTask({ path: of(id), throwOnError: true })).data.completed, true);
assert.equal((await api.completeTask({ path: of(id), body: { completed: false }, throwOnError: true })).data.completed, false);
const operations = [0, 1, 2, 3].map((number) => ({ op: "create" as const, title: `task ${number}` }));
const once = { path: me, body: { operations }, headers: { "Idempotency-Key": "once" }, throwOnError: true as const };
const batch = await api.batchTasks(once);
assert.deepEqual(batch.data.results.map((result) => result.status), [201, 201, 201, 201]);
assert.deepEqual((await api.batchTasks(once)).data, batch.data);
const other = batch.data.results[0]?.task?.id ?? "";
assert.equal((await api.moveTask({ path: of(id), body: { before: other } })).response.status, 200);
const seen: string[] = [];
for (let cursor: string | undefined, first = true; first || cursor; first = false) {
  const page = await api.listTasks({ path: me, query: { limit: 2, sort: "title", cursor }, throwOnError: true });
  seen.push(...page.data.map((task) => task.title));
  cursor = /[?&]cursor=([^&>]+)/.exec(page.response.headers.get("link") ?? "")?.[1];
}
assert.deepEqual(seen, ["task 0", "task 1", "task 2", "task 3", "two"]);
assert.equal((await api.listTasks({ path: me, query: { priority: "high", tag: ["home"] }, throwOnError: true })).data.length, 1);
assert.equal((await api.summarizeTasks({ path: me, query: { tz: "Europe/Berlin" }, throwOnError: true })).data.open, 5);
assert.equal((await api.deleteTask({ path: of(id) })).response.status, 204);
assert.equal((await api.restoreTask({ path: of(id), throwOnError: true })).data.id, id);
assert.equal((await api.deleteTask({ path: of(id), query: { permanent: true } })).response.status, 204);
assert.equal((await api.getTask({ path: of(id) })).response.status, 404);
assert.equal((await api.health()).response.status, 200);
assert.equal((await api.ready()).response.status, 200);
