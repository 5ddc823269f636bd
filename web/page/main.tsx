/** The page: joins Better Auth and the API, and shows the signed-in person their tasks. */

import { createRoot } from "react-dom/client";
import { App } from "./app";

const setting = (name: string) =>
  document.querySelector<HTMLMetaElement>(`meta[name="taskward-${name}"]`)?.content ?? "";
const root = document.getElementById("root");
if (root) createRoot(root).render(<App apiUrl={setting("api")} verifiesEmail={setting("verifies-email") === "1"} />);
