/** Four operations of the API (list, create, read, complete) in Hono, postgres.js and jose, as a TypeScript team would write them. */

import { randomUUID } from "node:crypto";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { createRemoteJWKSet, jwtVerify } from "jose";
import postgres from "postgres";

const { BETTER_AUTH_SECRET, DATABASE_URL, JWKS_URL, JWT_AUDIENCE, JWT_ISSUER, POOL, PORT } = process.env;

const sql = postgres(DATABASE_URL, { max: Number(POOL) });
// Imported once: jose would import a key that is given as bytes again for each token.
const hmac = { name: "HMAC", hash: "SHA-256" };
const keys = JWKS_URL
  ? createRemoteJWKSet(new URL(JWKS_URL))
  : await crypto.subtle.importKey("raw", new TextEncoder().encode(BETTER_AUTH_SECRET), hmac, false, ["verify"]);
const rules = { algorithms: [JWKS_URL ? "EdDSA" : "HS256"], issuer: JWT_ISSUER, audience: JWT_AUDIENCE };
const columns = sql`id, user_id, title, description, completed, due, priority, tags, position, version,
  created_at, updated_at, completed_at, trashed_at`;

const PRIORITIES = new Set(["none", "low", "medium", "high"]);

const app = new Hono();

app.use("/api/:user_id/*", async (context, next) => {
  const token = context.req.header("authorization")?.match(/^Bearer (.+)$/i)?.[1];
  if (!token) throw new HTTPException(401);
  let subject;
  try {
    subject = (await jwtVerify(token, keys, rules)).payload.sub;
  } catch {
    throw new HTTPException(401);
  }
  if (subject !== context.req.param("user_id")) throw new HTTPException(403);
  context.set("owner", subject);
  await next();
});

app.get("/api/:user_id/tasks", async (context) => {
  const limit = Number(context.req.query("limit") ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > 200) throw new HTTPException(400);
  return context.json(
    await sql`SELECT ${columns} FROM tasks WHERE user_id = ${context.get("owner")} AND trashed_at IS NULL ORDER BY id DESC LIMIT ${limit}`,
  );
});

app.post("/api/:user_id/tasks", async (context) => {
  const { title, description = null, completed = false, due = null, priority = "none", tags = [] } =
    await context.req.json();
  if (typeof title !== "string" || title.length < 1 || title.length > 255) throw new HTTPException(400);
  if (description !== null && (typeof description !== "string" || description.length > 10_000))
    throw new HTTPException(400);
  if (typeof completed !== "boolean" || (due !== null && typeof due !== "string")) throw new HTTPException(400);
  if (!PRIORITIES.has(priority) || !Array.isArray(tags) || tags.length > 20) throw new HTTPException(400);
  const now = new Date();
  const position = (2n ** 63n - process.hrtime.bigint()).toString(16);
  const [task] = await sql`
    INSERT INTO tasks (id, user_id, title, description, completed, due, priority, tags, position, version,
                       created_at, updated_at)
    VALUES (${randomUUID()}, ${context.get("owner")}, ${title}, ${description}, ${completed}, ${due}, ${priority},
            ${tags}, ${position}, 1, ${now}, ${now})
    RETURNING ${columns}`;
  return context.json(task, 201, { location: `${context.req.path}/${task.id}` });
});

app.get("/api/:user_id/tasks/:id", async (context) => {
  const [task] = await sql`
    SELECT ${columns} FROM tasks
    WHERE user_id = ${context.get("owner")} AND id = ${context.req.param("id")} AND trashed_at IS NULL`;
  if (!task) throw new HTTPException(404);
  return context.json(task);
});

app.patch("/api/:user_id/tasks/:id/complete", async (context) => {
  const now = new Date();
  const [task] = await sql`
    UPDATE tasks SET completed = NOT completed, updated_at = ${now}, version = version + 1,
      completed_at = CASE WHEN completed THEN NULL ELSE ${now}::timestamptz END
    WHERE user_id = ${context.get("owner")} AND id = ${context.req.param("id")} AND trashed_at IS NULL
    RETURNING ${columns}`;
  if (!task) throw new HTTPException(404);
  return context.json(task);
});

const server = serve({ fetch: app.fetch, port: Number(PORT), hostname: "127.0.0.1" });
process.once("SIGTERM", () => server.close(() => sql.end().then(() => process.exit(0))));
