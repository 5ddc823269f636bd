/** What the pages of this folder use of Next.js, which is not installed here: `tests/e2e/front_ends/` builds them with it. */

declare module "next" {
  export interface NextConfig {
    cacheComponents?: boolean;
    partialPrefetching?: boolean;
    rewrites?: () => Promise<{ source: string; destination: string }[]>;
  }
}
declare module "next/cache" {
  export function revalidatePath(path: string): void;
}
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}
declare module "next/navigation" {
  export function redirect(address: string): never;
}
declare module "server-only";
