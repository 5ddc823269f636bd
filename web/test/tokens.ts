/** Tokens with the claims of real ones and no valid signature: the client does not verify tokens. */

let count = 0;

export const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Makes a token of a user, another one at each call. `iat` and `exp` are seconds. */
export function tokenOf(user: string, { iat = 0, exp = 900 } = {}): string {
  count += 1;
  return `${encode({ alg: "EdDSA" })}.${encode({ sub: user, iat, exp, count })}.x`;
}
