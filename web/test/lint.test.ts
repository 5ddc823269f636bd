/** Our own lint rules: each reports exactly the errors that `planted/` has for it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ESLint } from "eslint";

interface Found {
  readonly line: number;
  readonly mark: string;
}

const PLANTED = join(import.meta.dirname, "planted");

test("the lint reports each API that is too new or missing over plain http, and nothing else", async () => {
  const file = join(PLANTED, "later.ts");

  assert.deepEqual(await reportsOn(file), marksIn(file, / \/\/ (later|insecure)$/));
});

test("the lint reports each effect that returns the value of its expression, and nothing else", async () => {
  const file = join(PLANTED, "effects.tsx");

  const marks = marksIn(file, / \/\/ (returns)$/);
  assert.equal(marks.length, 3);
  const reports = await reportsOn(file);
  assert.deepEqual(
    reports.map(({ line }) => line),
    marks.map(({ line }) => line),
  );
  assert.ok(reports.every(({ mark }) => mark === "restrictedSyntax"));
});

async function reportsOn(file: string): Promise<Found[]> {
  const [linted] = await new ESLint().lintFiles([file]);
  return (linted?.messages ?? []).map(({ line, messageId, message }) => ({ line, mark: messageId ?? message }));
}

function marksIn(file: string, form: RegExp): Found[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line, at) => {
      const mark = form.exec(line)?.[1];
      return mark === undefined ? [] : [{ line: at + 1, mark }];
    });
}
