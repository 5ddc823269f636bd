/** One error for everything that a request can end in (RFC 9457). */

/** One thing wrong with a request, and where: an RFC 6901 pointer into the body, or `/name` of a parameter. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
  readonly in?: string;
}

/** Branch on `type` or `status`; show `detail` to people. `status` is 0 where there was no answer at all. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly type: string = "about:blank",
    readonly errors: readonly Fault[] = [],
    /** Seconds after which the server says it is worth asking again. */
    readonly retryAfter: number | null = null,
    cause?: unknown,
  ) {
    super(detail, { cause });
  }

  /** Nobody answered: the device is offline, or the server is not there. */
  static offline(cause?: unknown): Problem {
    const detail = "The server cannot be reached: check the connection, and try again.";
    return new Problem(0, "No connection", detail, "about:blank", [], null, cause);
  }

  /** Reads an answer that is not a success. HTML, half an answer or none still make a problem. */
  static async of(response: Response): Promise<Problem> {
    const told = await response.json().catch(() => null);
    const { type, title, detail, errors } = (typeof told === "object" && told ? told : {}) as Record<string, unknown>;
    const text = (value: unknown, otherwise: string) => (typeof value === "string" && value ? value : otherwise);
    return new Problem(
      response.status,
      text(title, response.statusText || `Status ${response.status}`),
      text(detail, "The server answered something that cannot be understood: try again in a moment."),
      text(type, "about:blank"),
      Array.isArray(errors) ? (errors as Fault[]) : [],
      seconds(response.headers.get("retry-after")),
    );
  }
}

/** Reads `Retry-After` as seconds; a date (RFC 9110 §10.2.3) is not worth a clock that may be wrong. */
function seconds(header: string | null): number | null {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) : null;
}
