/** The sentences that the Vite app of docs/front-ends.md shows for errors. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../lib";
import { messageOf } from "./vite/src/messages";

test("the message about an invalid field names the field", () => {
  const error = new Problem({
    type: "invalid-request",
    status: 400,
    title: "The request is not valid",
    detail: "title: must have at most 255 characters",
    errors: [{ pointer: "/title", detail: "must have at most 255 characters", in: "body" }],
  });

  assert.equal(messageOf(error), "title: must have at most 255 characters");
});
