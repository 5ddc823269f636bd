/** One person changed the same fields in two windows or on two devices: shows both, and lets the person choose. */

import { useEffect, useRef } from "react";
import type { Task } from "../lib";
import { dueInWords } from "./due";
import { type Field, Words } from "./words";

export type Choice = "mine" | "theirs";

interface Props {
  readonly fields: readonly Field[];
  readonly mine: Task;
  readonly theirs: Task;
  readonly choices: Partial<Record<Field, Choice>>;
  readonly onChoose: (field: Field, choice: Choice) => void;
}

const NAMES: Record<Field, string> = {
  title: "Title",
  description: "Notes",
  due: "Due",
  priority: "Priority",
  tags: "Tags",
};

export function Conflict({ fields, mine, theirs, choices, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <div className="conflict" role="alert" ref={box}>
      <p>This task was changed in another window or on another device. Choose which to keep, and save again.</p>
      {fields.map((field) => (
        <fieldset key={field}>
          <legend>{NAMES[field]}</legend>
          {(["mine", "theirs"] as const).map((choice) => (
            <label key={choice}>
              <input
                type="radio"
                name={`keep-${field}`}
                checked={choices[field] === choice}
                onChange={() => onChoose(field, choice)}
              />
              <span>
                <strong>{choice === "mine" ? "Yours" : "The other"}:</strong>{" "}
                <Words text={textOf(choice === "mine" ? mine : theirs, field)} />
              </span>
            </label>
          ))}
        </fieldset>
      ))}
    </div>
  );
}

function textOf(task: Task, field: Field): string {
  switch (field) {
    case "due":
      return task.due ? dueInWords(task.due, new Date()).text : "No due date";
    case "tags":
      return task.tags.join(", ") || "No tags";
    case "description":
      return task.description || "No notes";
    case "priority":
      return task.priority === "none" ? "No priority" : task.priority;
    default:
      return task.title;
  }
}
