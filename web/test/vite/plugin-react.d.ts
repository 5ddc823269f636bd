/**
 * `web/` does not install `@vitejs/plugin-react`, so this file declares its type.
 * `tests/e2e/front_ends/` builds the files of this folder with the real plugin.
 */
declare module "@vitejs/plugin-react" {
  export default function react(): import("vite").Plugin;
}
