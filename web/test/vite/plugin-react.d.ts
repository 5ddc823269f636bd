/** Not installed here: `tests/e2e/front_ends/` builds these files with it. */
declare module "@vitejs/plugin-react" {
  export default function react(): import("vite").Plugin;
}
