/** Builds the page, which `serve.ts` gives out. */

import { defineConfig } from "vite";

export default defineConfig({
  root: "page",
  build: { outDir: "../dist", emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
});
