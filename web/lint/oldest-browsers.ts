/** The oldest supported browsers: `browserslist` in package.json. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserName } from "@mdn/browser-compat-data";

const { browserslist } = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8")) as {
  browserslist: string[];
};

/** Their names are those of MDN's data. */
export const OLDEST_BROWSERS = browserslist.map((text) => {
  const [name = "", version] = text.split(" ");
  return { name: (name === "ios_saf" ? "safari_ios" : name) as BrowserName, version: Number(version) };
});
