// Uses the client that openapi-generator's typescript-fetch generates. `test_generated.py` compiles and runs this script.
import assert from "node:assert/strict";
import { Configuration, HealthApi, TasksApi } from "./generated/index";

const configuration = new Configuration({ basePath: process.env.TASKS_URL, accessToken: process.env.TOKEN });
const api = new TasksApi(configuration);
const userId = "me";

const made = await api.createTask({ userId, taskCreate: { title: "one", priority: "high", tags: ["home"] } });
const taskId = made.id;
const put = await api.updateTaskRaw({ userId, taskId, taskUpdate: { title: "two" } });
const task = await put.value();
assert.deepEqual([task.title, task.priority, task.tags], ["two", "high", ["home"]]);
const stale = api.patchTask({ userId, taskId, taskPatch: { title: "x" }, ifMatch: '"1"' });
await assert.rejects(stale, (error: { response?: Response }) => error.response?.status === 412);
const ifMatch = put.raw.headers.get("etag") ?? "";
assert.equal((await api.patchTask({ userId, taskId, taskPatch: { due: "2026-01-09" }, ifMatch })).due, "2026-01-09");
assert.equal((await api.getTask({ userId, taskId })).due, "2026-01-09");
assert.equal((await api.completeTask({ userId, taskId })).completed, true);
assert.equal((await api.completeTask({ userId, taskId, completion: { completed: false } })).completed, false);
const operations = [0, 1, 2, 3].map((number) => ({ op: "create" as const, title: `task ${number}` }));
const batch = await api.batchTasks({ userId, batch: { operations }, idempotencyKey: "once" });
assert.deepEqual(batch.results.map((result) => result.status), [201, 201, 201, 201]);
await api.moveTask({ userId, taskId, move: { before: batch.results[0]?.task?.id } });
const seen: string[] = [];
for (let cursor: string | undefined, first = true; first || cursor; first = false) {
  const page = await api.listTasksRaw({ userId, limit: 2, sort: "title", cursor });
  seen.push(...(await page.value()).map((one) => one.title));
  cursor = /[?&]cursor=([^&>]+)/.exec(page.raw.headers.get("link") ?? "")?.[1];
}
assert.deepEqual(seen, ["task 0", "task 1", "task 2", "task 3", "two"]);
assert.equal((await api.summarizeTasks({ userId, tz: "Europe/Berlin" })).open, 5);
await api.deleteTask({ userId, taskId });
assert.equal((await api.restoreTask({ userId, taskId })).id, taskId);
await api.deleteTask({ userId, taskId, permanent: true });
await assert.rejects(api.getTask({ userId, taskId }), (error: { response?: Response }) => error.response?.status === 404);
const health = new HealthApi(configuration);
await health.health();
await health.ready();
