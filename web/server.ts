/** The sign-in server: `npm start`. Its settings are in `settings.ts`; `serve.ts` reads `DATABASE_WAIT` and `MIGRATE`. */

import { createAuth } from "./auth.ts";
import { serve } from "./serve.ts";
import { readSettings } from "./settings.ts";

const settings = readSettings(process.env);
await serve(settings, (database) => createAuth(settings, database));
