/** What `log.ts` writes of the text that a client sends. */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BoundedLog, limitConsole, log, toPlainText } from "../log.ts";
import { printMail } from "../mail.ts";

/** A log of at most three lines a second, and what it has written, without the time. */
function given(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const lines: string[] = [];
  const bounded = new BoundedLog((line) => lines.push(line.slice(line.indexOf(" ") + 1)), 3);
  return { bounded, lines, tick: (milliseconds: number) => t.mock.timers.tick(milliseconds) };
}

test("a message is one line without control characters", () => {
  assert.equal(
    toPlainText("a\nb\r\u001b[2K\u0085\u2028\u202e漢 é"),
    "a\\u000ab\\u000d\\u001b[2K\\u0085\\u2028\\u202e漢 é",
  );
});

test("a long message is cut", () => {
  assert.equal(toPlainText("a".repeat(300)), "a".repeat(300));
  assert.equal(toPlainText("a".repeat(65_000)), `${"a".repeat(300)}… (65000 characters)`);
});

test("an error is logged in one short line with its message, the top of its stack and its cause", (t) => {
  const { bounded, lines } = given(t);
  const forged = "    at forged (here)";
  const error = new Error(`broken\n${forged}\n${"x".repeat(60_000)}`, { cause: new Error("no\nconnection") });

  bounded.log("error", "Error", error);

  const [line = ""] = lines;
  assert.match(
    line,
    /^ERROR Error Error broken\\u000a {4}at forged .* at .*log\.test\.ts.* because of no\\u000aconnection$/,
  );
  assert.equal(line.split(" at ").length, 7); // the message has one, and five are of the stack
  assert.equal(line.includes("\n"), false);
  assert.ok(line.length < 2_500);
});

test("an object is logged in one short line", (t) => {
  const { bounded, lines } = given(t);

  bounded.log("error", { text: "\n".repeat(9_000), more: Array.from({ length: 5_000 }, (_, n) => `\u001b${n}`) });

  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /^ERROR [^\p{Cc}]{10,2100}$/u);
});

test("a log writes a limited number of lines in a second, and then how many it left out", (t) => {
  const { bounded, lines, tick } = given(t);

  for (const text of "abcdefg") bounded.log("error", text);
  assert.deepEqual(lines, ["ERROR a", "ERROR b", "ERROR c"]);
  tick(1_000);
  bounded.log("warn", "h");
  tick(5_000);

  assert.deepEqual(lines.slice(3), ["WARN 4 lines left out", "WARN h"]);
});

test("at most ten lines for refusals and ten for errors are logged in a second, output of libraries included", (t) => {
  const methods = { ...console };
  t.after(() => Object.assign(console, methods));
  const lines: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => lines.push(text));

  limitConsole();
  for (let n = 0; n < 50; n += 1) log("error", "Invalid callbackURL: \n");
  for (let n = 0; n < 50; n += 1) console.error(new Error("the database\nis away"));
  console.info("The user aborted a request.");

  assert.equal(lines.filter((line) => /^\S+ ERROR Invalid callbackURL: \\u000a\n$/.test(line)).length, 10);
  assert.equal(lines.filter((line) => /^\S+ ERROR Error the database\\u000ais away at .*\n$/.test(line)).length, 10);
  assert.equal(lines.length, 20);
});

test("each line of a printed mail is short, and a client cannot add lines to it", async (t) => {
  const printed: string[] = [];
  t.mock.method(console, "log", (text: string) => printed.push(text));

  await printMail({ to: "ann@example.com\rmail | ", subject: "Confirm", text: `Open\n${"x".repeat(60_000)}` });

  const lines = printed.join("\n").split(/[\r\n]/);
  assert.equal(lines.length, 5);
  assert.ok(lines.every((line) => line.startsWith("mail | ") && line.length < 2_100));
});
