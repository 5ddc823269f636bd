/**
 * Lines of the log about requests. Clients control part of the text, and can cause any number of messages. So each
 * message is one line of limited length, and the lines per second are limited.
 */

import { inspect } from "node:util";

const TEXT_MAX = 300; // characters of a message
const FRAMES_MAX = 5; // of the stack of an error
const LINES_MAX = 10; // per second: 10 lines with an error, and 10 others
const SECOND = 1_000; // milliseconds

/** Characters that end a line, move the cursor, or change the direction of the text. */
const NOT_PRINTED = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Shortens a text, and escapes characters that could begin a new line or change how a terminal shows the line. */
export function toPlainText(text: string, lengthMax = TEXT_MAX): string {
  const kept = text.length > lengthMax ? `${text.slice(0, lengthMax)}… (${text.length} characters)` : text;
  return kept.replace(NOT_PRINTED, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function describe(part: unknown): string {
  if (typeof part === "string") return toPlainText(part);
  if (!(part instanceof Error)) return toPlainText(inspect(part, { depth: 1, maxStringLength: TEXT_MAX }));
  const { name, message, code, cause } = part as NodeJS.ErrnoException;
  return [
    toPlainText([name, code, message].filter(Boolean).join(" ")),
    ...framesOf(part).map((frame) => toPlainText(frame.trim())),
    ...(cause instanceof Error ? [toPlainText(`because of ${cause.message}`)] : []),
  ].join(" ");
}

/** Returns the first frames of the stack. Skips the message, because a line of the message may look like a frame. */
function framesOf({ message, stack = "" }: Error): readonly string[] {
  const start = stack.indexOf(message);
  const rest = start === -1 ? stack : stack.slice(start + message.length);
  return rest
    .split("\n")
    .filter((line) => line.startsWith("    at "))
    .slice(0, FRAMES_MAX);
}

type Level = "debug" | "info" | "warn" | "error";

/** Writes at most `linesMax` lines a second, then one line with the number of lines that it left out. */
export class BoundedLog {
  readonly #write: (line: string) => void;
  readonly #linesMax: number;
  #reportTimer: NodeJS.Timeout | undefined;
  #lines = 0;
  #leftOut = 0;

  constructor(write: (line: string) => void, linesMax = LINES_MAX) {
    this.#write = write;
    this.#linesMax = linesMax;
  }

  log(level: Level, ...parts: readonly unknown[]): void {
    this.#reportTimer ??= setTimeout(() => this.#report(), SECOND).unref();
    this.#lines += 1;
    if (this.#lines > this.#linesMax) this.#leftOut += 1;
    else this.#writeLine(level, parts.map(describe).join(" "));
  }

  #report(): void {
    const leftOut = this.#leftOut;
    this.#reportTimer = undefined;
    this.#lines = this.#leftOut = 0;
    if (leftOut > 0) this.#writeLine("warn", `${leftOut} lines left out`);
  }

  #writeLine(level: Level, text: string): void {
    this.#write(`${new Date().toISOString()} ${level.toUpperCase()} ${text}`);
  }
}

const print = console.error.bind(console); // kept, because `limitConsole` replaces `console.error`
const others = new BoundedLog(print);
const errors = new BoundedLog(print); // a limit of its own: many refused requests must not use up the lines for errors

/** Logs what happened to a request. Better Auth calls this function as its `logger`. */
export function log(level: Level, ...parts: readonly unknown[]): void {
  const bounded = parts.some((part) => part instanceof Error) ? errors : others;
  bounded.log(level, ...parts);
}

/**
 * From now on, `console.debug`, `info`, `warn` and `error` (of Hono, its server, Better Auth outside a request) write with
 * `log`. `console.log` is unchanged, because it prints mails.
 */
export function limitConsole(): void {
  for (const level of ["debug", "info", "warn", "error"] as const)
    console[level] = (...parts: readonly unknown[]) => log(level, ...parts);
}
