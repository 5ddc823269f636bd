import { createTaskward } from "@/lib/taskward";
import { authClient } from "./auth-client";

const baseUrl = process.env.NEXT_PUBLIC_TASKS_URL;
if (!baseUrl) throw new Error("Set NEXT_PUBLIC_TASKS_URL for the build");

export const { api, session } = createTaskward({ auth: authClient, baseUrl });
