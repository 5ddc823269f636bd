/** What other people's projects lint: ESLint's and typescript-eslint's recommended rules; and browsers, for what runs there. */

import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import browserApis from "./lint/browser-apis.ts";

export default defineConfig({
  files: ["lib/*.ts", "page/**/*.{ts,tsx}", "test/planted/*.ts"],
  extends: [js.configs.recommended, tseslint.configs.recommended],
  plugins: { taskward: { rules: { "browser-apis": browserApis } } },
  languageOptions: {
    parserOptions: {
      project: ["page/tsconfig.json", "test/planted/tsconfig.json"],
      tsconfigRootDir: import.meta.dirname,
    },
  },
  linterOptions: { reportUnusedDisableDirectives: "error" },
  rules: { "taskward/browser-apis": "error" },
});
