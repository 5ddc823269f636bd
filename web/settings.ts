/** Settings of the sign-in server, from its environment. All errors are reported together. */

import { isIP } from "node:net";

export interface Settings {
  /** The one address that browsers use. Better Auth takes `iss` and `aud` from it, never from a Host header. */
  readonly baseUrl: string;
  readonly port: number;
  readonly secret: string;
  readonly databaseUrl: string;
  /** Where the task API is, for the page. */
  readonly apiUrl: string;
  /** Whether requests and wrong passwords are limited. Only tests, which use one address, switch the limits off. */
  readonly rateLimit: boolean;
  /** Networks of your own proxies, whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[];
  /** Whether an e-mail address is verified before its account can be used. */
  readonly verifyEmail: boolean;
  /** The origins of pages that may send requests, besides the origin of `baseUrl`. */
  readonly trustedOrigins: readonly string[];
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const faults: string[] = [];
  const need = (name: string, what: string): string => {
    const value = env[name]?.trim();
    if (!value) faults.push(`${name} is not set: ${what}`);
    return value ?? "";
  };
  const baseUrl = need("BETTER_AUTH_URL", "the address at which browsers reach this server");
  const secret = need("BETTER_AUTH_SECRET", "make one with `openssl rand -base64 32`");
  const databaseUrl = need("DATABASE_URL", "the address of a PostgreSQL database");
  const apiUrl = env["API_URL"]?.trim() || "http://127.0.0.1:8000";
  const rateLimit = env["AUTH_RATE_LIMIT"] !== "off";
  const trustedProxies = (env["TRUSTED_PROXIES"] ?? "")
    .split(",")
    .map((network) => network.trim())
    .filter(Boolean);
  for (const fault of trustedProxies.map(networkFault))
    if (fault) faults.push(`TRUSTED_PROXIES has an invalid network (${fault}): write 10.0.0.0/8, 2001:db8::/32`);
  const verification = env["REQUIRE_EMAIL_VERIFICATION"]?.trim() || "0";
  if (!["0", "1"].includes(verification)) faults.push("REQUIRE_EMAIL_VERIFICATION is neither 0 nor 1");
  const verifyEmail = verification === "1";
  const port = Number(env["AUTH_PORT"] || "3000");
  const trustedOrigins = (env["TRUSTED_ORIGINS"] ?? "")
    .split(",")
    .map((origin) => origin.trim())
    .filter(Boolean);
  if (baseUrl && !isUrlOf(baseUrl, "http:", "https:"))
    faults.push("BETTER_AUTH_URL is not a URL like https://app.example.com");
  if (!isUrlOf(apiUrl, "http:", "https:")) faults.push("API_URL is not a URL like https://tasks.example.com");
  if (databaseUrl && !isUrlOf(databaseUrl, "postgresql:", "postgres:"))
    faults.push("DATABASE_URL is not a URL like postgresql://user:password@host/database");
  for (const origin of trustedOrigins)
    if (!isUrlOf(origin, "http:", "https:") || new URL(origin).origin !== origin)
      faults.push(`TRUSTED_ORIGINS names ${origin}, which is not an origin like https://app.example.com`);
  if (secret && Buffer.byteLength(secret) < 32) faults.push("BETTER_AUTH_SECRET is shorter than 32 bytes");
  if (!Number.isInteger(port) || port < 1 || port > 65535) faults.push("AUTH_PORT is not a port");
  if (faults.length > 0) {
    console.error(["The sign-in server cannot start:", ...faults].join("\n  "));
    process.exit(1);
  }
  return { baseUrl, port, secret, databaseUrl, apiUrl, rateLimit, trustedProxies, verifyEmail, trustedOrigins };
}

/** Returns what is wrong with a network, in the same words as the API, which has the same setting; `null` if it is valid. */
function networkFault(text: string): string | null {
  const [address = "", length, more] = text.split("/");
  const size = { 4: 32, 6: 128 }[isIP(address)];
  const bits = length === undefined ? size : /^\d{1,3}$/.test(length) ? Number(length) : undefined;
  if (size === undefined || bits === undefined || more !== undefined || bits > size || address.includes("%"))
    return `'${text}' does not appear to be an IPv4 or IPv6 network`;
  return toBits(address).includes("1", bits) ? `${text} has host bits set` : null;
}

/** Returns the bits of an IP address, as text of `0` and `1`. */
export function toBits(address: string): string {
  if (isIP(address) === 4)
    return address
      .split(".")
      .map((part) => Number(part).toString(2).padStart(8, "0"))
      .join("");
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1); // an IPv4 tail becomes two groups
  const [left = [], right = []] = plain.split("::").map((half) => half.split(":").filter(Boolean));
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}

/** Whether a text is a URL with a host and one of these protocols. `localhost:3000` has the protocol `localhost:`. */
function isUrlOf(address: string, ...protocols: readonly string[]): boolean {
  return URL.canParse(address) && protocols.includes(new URL(address).protocol) && new URL(address).hostname !== "";
}
