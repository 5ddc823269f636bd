/** Runs when the server starts, and not when the app is built: a build needs no secrets. */
export function register(): void {
  for (const name of ["BETTER_AUTH_URL", "BETTER_AUTH_SECRET", "DATABASE_URL"])
    if (!process.env[name]) throw new Error(`Set ${name}`);
}
