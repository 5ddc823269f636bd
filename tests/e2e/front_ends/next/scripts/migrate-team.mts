import { getMigrations } from "better-auth/db/migration";
import { teamAuth } from "../lib/team-auth";

const { runMigrations } = await getMigrations(teamAuth.options);
await runMigrations();
process.exit();
