/** The page: joins Better Auth and the API, and shows whoever is signed in their tasks. */

import { createRoot } from "react-dom/client";
import { App } from "./app";

const api = document.querySelector<HTMLMetaElement>('meta[name="taskward-api"]')?.content ?? "";
const root = document.getElementById("root");
if (root) createRoot(root).render(<App apiUrl={api} />);
