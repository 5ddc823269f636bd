/** The page: joins Better Auth and the API, and shows the signed-in person their tasks. */

import { createRoot } from "react-dom/client";
import { App } from "./app";
import { Boundary, BrokenPage } from "./boundary";

const setting = (name: string) =>
  document.querySelector<HTMLMetaElement>(`meta[name="taskward-${name}"]`)?.content ?? "";
const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <Boundary instead={() => <BrokenPage />}>
      <App apiUrl={setting("api")} verifiesEmail={setting("verifies-email") === "1"} />
    </Boundary>,
  );
