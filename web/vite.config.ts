/** Builds the page, which `serve-page.ts` serves. Scripts and style sheets are also compressed with brotli and gzip. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { OLDEST_BROWSERS } from "./lint/oldest-browsers.ts";

const ASSETS = join(import.meta.dirname, "dist", "assets");

const precompress: Plugin = {
  name: "precompress",
  closeBundle() {
    for (const name of readdirSync(ASSETS).filter((file) => /\.(js|css)$/.test(file))) {
      const file = join(ASSETS, name);
      const bytes = readFileSync(file);
      writeFileSync(`${file}.br`, brotliCompressSync(bytes));
      writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
    }
  },
};

export default defineConfig({
  root: "page",
  plugins: [precompress],
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: OLDEST_BROWSERS.map(({ name, version }) => `${name === "safari_ios" ? "ios" : name}${version}`),
    modulePreload: { polyfill: false },
  },
});
