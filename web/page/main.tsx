/** Starts the page, with the settings that the server has written into index.html. */

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
