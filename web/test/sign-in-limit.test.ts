import assert from "node:assert/strict";
import { test } from "node:test";
import { SignInLimit } from "../sign-in-limit.ts";

const MINUTE = 60_000; // milliseconds

function limited(): { readonly limit: SignInLimit; readonly pass: (milliseconds: number) => void } {
  let now = 0;
  return { limit: new SignInLimit(() => now), pass: (milliseconds) => (now += milliseconds) };
}

test("after 20 wrong passwords an account waits, whatever the case of its address, and another does not", () => {
  const { limit } = limited();
  for (let guess = 0; guess < 20; guess += 1) limit.tried("ann@example.com");

  assert.equal(limit.wait(" Ann@Example.com", "192.0.2.1"), 15 * 60);
  assert.equal(limit.wait("bob@example.com", "192.0.2.1"), 0);
});

test("an address that signed in before does not wait", () => {
  const { limit } = limited();
  limit.succeeded("ann@example.com", "192.0.2.1");
  for (let guess = 0; guess < 20; guess += 1) limit.tried("ann@example.com");

  assert.equal(limit.wait("ann@example.com", "192.0.2.1"), 0);
  assert.equal(limit.wait("ann@example.com", "192.0.2.2"), 15 * 60);
});

test("the wait ends with the window, and a new window counts from nothing", () => {
  const { limit, pass } = limited();
  for (let guess = 0; guess < 20; guess += 1) limit.tried("ann@example.com");
  pass(15 * MINUTE);
  limit.tried("ann@example.com");

  assert.equal(limit.wait("ann@example.com", "192.0.2.1"), 0);
});

test("accounts that are made up do not fill the memory", () => {
  const { limit } = limited();
  for (let account = 0; account < 20_000; account += 1) limit.tried(`${account}@example.com`);
  for (let guess = 0; guess < 19; guess += 1) limit.tried("0@example.com");

  assert.equal(limit.wait("0@example.com", "192.0.2.1"), 0); // forgotten long ago
});

test("a try with the right password does not count", () => {
  const { limit } = limited();
  for (let guess = 0; guess < 19; guess += 1) limit.tried("ann@example.com");
  limit.tried("ann@example.com");
  limit.succeeded("ann@example.com", "192.0.2.1");

  assert.equal(limit.wait("ann@example.com", "192.0.2.2"), 0);
});
