/** With a team's own client of Better Auth, no text of a person gets into another person's list. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createTaskward, isOtherUser, isProblem, isSignedOut, type TaskwardOptions } from "../lib";
import { fireEvent } from "./page";
import { browser, clientOf, tables, tasksByOwner } from "./people";
import { until } from "./until";

const PASSWORD = "correct horse";
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
let count = 0;

const { owners, send } = tasksByOwner();

/** Opens a page in a browser, with its own client of Better Auth. `heard` has what the handlers of the page got. */
function openPage(at: ReturnType<typeof browser>, options: Partial<TaskwardOptions> = {}) {
  const heard: string[] = [];
  const authClient = at.page();
  const { api, session } = createTaskward({
    auth: authClient,
    baseUrl: "https://tasks.example.com",
    fetch: send,
    onSignedOut: (how) => heard.push(how),
    onSignedIn: () => heard.push("signed in"),
    onOtherUser: () => heard.push("other"),
    ...options,
  });
  return { authClient, api, session, heard };
}

type Client = ReturnType<typeof openPage>["authClient"];

async function signUp({ signUp }: Client, name: string): Promise<string> {
  count += 1;
  const { data } = await signUp.email({ name, email: `${name}${count}@example.com`, password: PASSWORD });
  assert.ok(data);
  return data.user.id;
}

/** Waits until the client has announced a sign-in, which it does after 10 ms, and has seen its session. */
async function waitUntilAnnounced({ useSession }: Client): Promise<void> {
  await pause(20);
  await until(() => useSession.get().data !== null && !useSession.get().isRefetching);
}

const emailOf = (id: string): string =>
  tables["user"]?.map((user) => user as { id: string; email: string }).find((user) => user.id === id)?.email ?? "";

test("after a sign-out and another person's sign-up, nothing is written into the first person's list", async () => {
  const { authClient, api, session, heard } = openPage(browser());
  const ann = await signUp(authClient, "ann");
  await api.create({ title: "Ann's" });

  await authClient.signOut();
  const bob = await signUp(authClient, "bob");
  await assert.rejects(api.create({ title: "typed on Ann's screen" }), isOtherUser);
  assert.deepEqual(
    heard.filter((word) => word === "other"),
    ["other"],
  );
  session.cleared();
  await api.create({ title: "Bob's" });

  assert.deepEqual([owners[ann], owners[bob]], [["Ann's"], ["Bob's"]]);
});

test("a write during another person's sign-in is not sent with the first person's token", async () => {
  const { authClient, api } = openPage(browser());
  await signUp(authClient, "ann");
  const bob = await signUp(openPage(browser()).authClient, "bob");
  const email = emailOf(bob);
  await api.create({ title: "Ann's" });

  await authClient.signIn.email({ email, password: PASSWORD });

  await assert.rejects(api.create({ title: "typed on Ann's screen" }), isOtherUser);
});

test("if another person signs in in a second tab, writes in the first tab are refused until `cleared` is called", async () => {
  const here = browser();
  const first = openPage(here);
  const ann = await signUp(first.authClient, "ann");
  await first.api.list();
  await waitUntilAnnounced(first.authClient);
  const second = openPage(here);
  await second.api.list();

  await second.authClient.signOut();
  await until(() => first.heard.includes("elsewhere"));
  const bob = await signUp(second.authClient, "bob");
  await until(() => first.heard.includes("other"));
  await assert.rejects(first.api.create({ title: "typed on Ann's screen" }), isOtherUser);
  first.session.cleared();
  await first.api.create({ title: "Bob's" });

  assert.equal(first.heard.filter((word) => word === "other").length, 1);
  assert.deepEqual([owners[ann], owners[bob]], [undefined, ["Bob's"]]);
});

test("a sign-in that no tab announced is noticed when the page is visible again", async () => {
  const here = browser();
  const { authClient, api } = openPage(here);
  await signUp(authClient, "ann");
  await api.list();
  const elsewhere = here.page(); // a page of the same site without this client

  await elsewhere.signOut();
  await signUp(elsewhere, "bob");
  fireEvent("focus");

  await assert.rejects(api.create({ title: "typed on Ann's screen" }), isOtherUser);
});

test("after `cleared` at the sign-out, the next person can use the page at once", async () => {
  const { authClient, api, session, heard } = openPage(browser());
  await signUp(authClient, "ann");
  await api.list();

  await authClient.signOut();
  session.cleared();
  const bob = await signUp(authClient, "bob");
  await api.create({ title: "Bob's" });

  assert.deepEqual(owners[bob], ["Bob's"]);
  assert.ok(!heard.includes("other"));
});

test("the same person who signs in again can continue", async () => {
  const { authClient, api, heard } = openPage(browser());
  const ann = await signUp(authClient, "ann");
  const email = emailOf(ann);
  await api.list();
  await authClient.signOut();

  await authClient.signIn.email({ email, password: PASSWORD });
  await api.create({ title: "Ann's" });

  assert.deepEqual(owners[ann], ["Ann's"]);
  assert.ok(!heard.includes("other"));
});

test("a call after the session has ended waits for the sign-in, and is then sent", async () => {
  const { authClient, api, heard } = openPage(browser(), { whenSignedOut: "wait" });
  const ann = await signUp(authClient, "ann");
  const email = emailOf(ann);
  await api.list();
  await waitUntilAnnounced(authClient);
  tables["session"] = tables["session"]?.filter((session) => (session as { userId: string }).userId !== ann) ?? [];
  fireEvent("focus");

  const writing = api.create({ title: "typed on" });
  await until(() => heard.includes("over"));
  await authClient.signIn.email({ email, password: PASSWORD });
  await writing;

  assert.deepEqual(owners[ann], ["typed on"]);
  assert.deepEqual(heard, ["over", "signed in"]);
});

test("a sign-up whose e-mail must be confirmed fetches no token, and waiting requests keep waiting", async () => {
  const here = browser({ verifiesEmail: true });
  const { authClient, api, heard } = openPage(here, { whenSignedOut: "wait" });
  const controller = new AbortController();
  const reason = new Error("never mind");
  const waiting = assert.rejects(api.list({}, { signal: controller.signal }), reason);
  await until(() => heard.includes("over"));
  const before = here.requested.length;

  const person = { name: "ann", email: "unconfirmed@example.com", password: PASSWORD };
  const { data } = await authClient.signUp.email(person);
  await until(() => here.requested.at(-1) === "/api/auth/get-session" && !authClient.useSession.get().isRefetching);
  await pause(20);

  assert.equal(data?.token, null);
  assert.ok(!here.requested.slice(before).includes("/api/auth/token"));
  controller.abort(reason);
  await waiting;
});

for (const [what, answer] of [
  ["fails", () => Promise.resolve(Response.json({}, { status: 500 }))],
  ["cannot be reached", () => Promise.reject(new TypeError("fetch failed"))],
] as const)
  test(`waiting calls continue if the request for the session ${what} right after the sign-in`, async () => {
    const here = browser();
    const ann = await signUp(here.page(), "ann");
    await here.page().signOut();
    let isAway = false;
    const page = () => here.page((path) => (isAway && path === "/api/auth/get-session" ? answer() : null));
    const { authClient, api } = openPage({ ...here, page }, { whenSignedOut: "wait" });
    const writing = api.create({ title: "typed on" });
    await pause(20);

    isAway = true;
    await authClient.signIn.email({ email: emailOf(ann), password: PASSWORD });
    await writing;

    assert.deepEqual(owners[ann], ["typed on"]);
  });

test("a sign-out by the page does not count as a session that ended by itself", async () => {
  const { authClient, api, heard } = openPage(browser(), { whenSignedOut: "wait" });
  await signUp(authClient, "ann");
  await api.list();
  await waitUntilAnnounced(authClient);

  await authClient.signOut();
  await pause(11); // Better Auth announces the sign-out after 10 ms
  await assert.rejects(api.list(), isSignedOut);

  assert.deepEqual(heard, []);
});

test("a visitor without a session gets a problem", async () => {
  const { api, heard } = openPage(browser());

  await assert.rejects(api.list(), isSignedOut);

  assert.deepEqual(heard, ["over"]);
});

test("a busy sign-in service is a problem with `retryAfter`", async () => {
  const busy = async () => Response.json({}, { status: 429, headers: { "x-retry-after": "42" } });
  const { api } = openPage({ ...browser(), page: () => clientOf(busy) });

  await assert.rejects(api.list(), (error) => isProblem(error) && error.status === 429 && error.retryAfter === 42);
});

for (const [what, answer] of [
  ["is away", () => Promise.reject(new TypeError("fetch failed"))],
  ["fails", async () => Response.json({}, { status: 500 })],
  [
    "is hidden by a captive portal",
    async () => new Response("<h1>Wi-Fi</h1>", { headers: { "content-type": "text/html" } }),
  ],
] as const)
  test(`a sign-in service that ${what} does not end the session`, async () => {
    const { api, heard } = openPage({ ...browser(), page: () => clientOf(answer) }, { sleep: async () => undefined });

    await assert.rejects(api.list(), (error) => isProblem(error) && !isSignedOut(error));

    assert.deepEqual(heard, []);
  });
