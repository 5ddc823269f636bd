/** Lines that the lint must report, each marked with the id of its message, and lines that it must not report. */

declare const params: URLSearchParams;
declare const maybe: { readonly sizes?: readonly number[] };

export const plants = [
  params.size, // later
  params["size"], // later
  new URLSearchParams(location.search).size > 0, // later
  ((each: URLSearchParams | Headers) => ("size" in each ? each.size : 0))(params), // later
  (({ size }: URLSearchParams) => size)(params), // later
  AbortSignal.timeout(1), // later
  URL.canParse("x"), // later
  Promise.withResolvers<void>(), // later
  Object.groupBy([1], (one) => one), // later
  new Set([1]).union(new Set([2])), // later
  [1].values().map((one) => one), // later
  document.startViewTransition(() => undefined), // later
  requestIdleCallback(() => undefined), // later
  crypto.randomUUID(), // insecure
  navigator.clipboard, // insecure
  params.get("a"),
  crypto.randomUUID?.(),
  crypto.getRandomValues(new Uint8Array(1)).length,
  [1].with(0, 2).findLast((one) => one > 0),
  AbortSignal.abort().reason,
  document.body.append("x"),
  maybe.sizes?.at(0),
  structuredClone(new Intl.PluralRules("en").select(1)),
  console.error.name,
];
