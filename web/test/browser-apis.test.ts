/** The lint for APIs that the oldest browsers served lack. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ESLint } from "eslint";

const PLANTED = join(import.meta.dirname, "planted", "later.ts");

test("the lint reports each later API and each that plain http lacks, and nothing else", async () => {
  const marked = readFileSync(PLANTED, "utf8")
    .split("\n")
    .flatMap((line, at) => {
      const mark = / \/\/ (later|insecure)$/.exec(line)?.[1];
      return mark === undefined ? [] : [{ line: at + 1, mark }];
    });

  const [linted] = await new ESLint().lintFiles([PLANTED]);

  const reported = linted?.messages.map(({ line, messageId, message }) => ({ line, mark: messageId ?? message }));
  assert.deepEqual(reported, marked);
});
