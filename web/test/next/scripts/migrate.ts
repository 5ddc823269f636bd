import { getMigrations } from "better-auth/db/migration";
import { auth } from "../lib/auth";

async function migrate(): Promise<void> {
  const { toBeCreated, toBeAdded, runMigrations } = await getMigrations(auth.options);
  await runMigrations();
  console.log("tables made or changed:", [...toBeCreated, ...toBeAdded].map(({ table }) => table).join(", ") || "none");
  await auth.options.database.end();
}

void migrate();
