import { toNextJsHandler } from "better-auth/next-js";
import { teamAuth } from "@/lib/team-auth";

export const { GET, POST } = toNextJsHandler(teamAuth);
