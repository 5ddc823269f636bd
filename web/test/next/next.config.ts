import type { NextConfig } from "next";

const { TASKS_URL } = process.env;
if (!TASKS_URL) throw new Error("Set TASKS_URL to the address of the task API, also for the build");

const nextConfig: NextConfig = {
  cacheComponents: true,
  partialPrefetching: true,
  rewrites: async () => [{ source: "/api/me/tasks/:path*", destination: `${TASKS_URL}/api/me/tasks/:path*` }],
};

export default nextConfig;
