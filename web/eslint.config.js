/** Lints code that runs in browsers (recommended rules, and APIs that the oldest browsers lack) and the effects of React. */

import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import browserApis from "./lint/browser-apis.ts";

// An arrow function without braces returns the value of its expression, and React calls what an effect returns.
// A function of a browser that returns nothing today may return a value in a newer version.
const EFFECT_IS_A_BLOCK = {
  selector:
    "CallExpression[callee.name=/^use(Layout|Insertion)?Effect$/] > ArrowFunctionExpression[body.type!='BlockStatement']",
  message: "Write the body of an effect in braces: React calls what it returns, as the clean-up.",
};

export default defineConfig(
  {
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
  },
  {
    files: ["page/**/*.{ts,tsx}", "test/vite/src/**/*.{ts,tsx}", "test/next/**/*.{ts,tsx}", "test/planted/*.tsx"],
    languageOptions: { parser: tseslint.parser },
    rules: { "no-restricted-syntax": ["error", EFFECT_IS_A_BLOCK] },
  },
  { ignores: ["**/.next/**"] },
);
