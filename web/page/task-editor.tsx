/** Editing one task in place: Enter saves, in the notes Ctrl+Enter does, Escape leaves it as it was. */

import { type FormEvent, type KeyboardEvent, useId, useState } from "react";
import type { Task } from "../lib";
import { Confirm } from "./confirm";
import { type Choice, Conflict } from "./conflict";
import { type Changes, changesBetween, conflictsOf, type Draft, draftOf } from "./edited";
import { TagField } from "./tag-field";
import type { Saved } from "./use-tasks";
import type { Field, FieldErrors } from "./words";

interface Props {
  readonly task: Task;
  readonly onSave: (task: Task, changes: Changes) => Promise<Saved>;
  readonly onSaveAsNew: (draft: Task) => Promise<boolean>;
  readonly onClose: () => void;
}

const PRIORITIES = { none: "No priority", low: "Low", medium: "Medium", high: "High" } as const;
const TITLE_MAX = 255; // characters, each emoji one
const NOTES_MAX = 10_000;

export function TaskEditor({ task, onSave, onSaveAsNew, onClose }: Props) {
  const [base, setBase] = useState(task); // the version that is edited; a newer one in the list changes nothing here
  const [draft, setDraft] = useState(() => draftOf(task));
  const [theirs, setTheirs] = useState<Task | null>(null); // the version of somebody else, where both changed a field
  const [choices, setChoices] = useState<Partial<Record<Field, Choice>>>({});
  const [errors, setErrors] = useState<FieldErrors>({});
  const [message, setMessage] = useState("");
  const [isGone, setGone] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [isLeaving, setLeaving] = useState(false);
  const id = useId();

  const changes = changesBetween(draftOf(base), draft);
  const conflicts = theirs ? conflictsOf(changes, base, theirs) : [];
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));

  async function save() {
    const wrong = errorsOf(draft);
    setErrors(wrong);
    setMessage("");
    if (Object.keys(wrong).length > 0 || isBusy) return;
    if (conflicts.some((field) => !choices[field])) {
      setMessage("Choose which to keep, for each of these.");
      return;
    }
    const kept = Object.fromEntries(
      Object.entries(changes).filter(([field]) => choices[field as Field] !== "theirs"),
    ) as Changes;
    setBusy(true);
    let current = theirs ?? base;
    let saved: Saved = { kind: "kept" };
    if (isGone) {
      if (!(await onSaveAsNew({ ...base, ...kept }))) saved = { kind: "refused", message: "Not added.", errors: {} };
    } else
      while (Object.keys(kept).length > 0) {
        saved = await onSave(current, kept);
        if (saved.kind !== "conflict") break;
        const { now } = saved;
        if (conflictsOf(kept, theirs ?? base, now).length > 0) break;
        current = now; // the other changed other fields: both changes stay
      }
    setBusy(false);
    switch (saved.kind) {
      case "kept":
        onClose();
        break;
      case "conflict":
        if (theirs) {
          // A second conflict is about the version that was shown, and about what was chosen then.
          setBase(theirs);
          setDraft((now) => ({
            ...draftOf(theirs),
            ...pick(draftOf({ ...theirs, ...kept }), kept),
            pendingTag: now.pendingTag,
          }));
        }
        setTheirs(saved.now);
        setChoices({});
        break;
      case "gone":
        setGone(true);
        break;
      case "refused":
        setErrors(saved.errors);
        setMessage(Object.keys(saved.errors).length > 0 ? "" : saved.message);
    }
  }

  function leave() {
    if (Object.keys(changes).length > 0) setLeaving(true);
    else onClose();
  }

  function press(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return; // Escape and Enter are the input method's
    if (event.key === "Escape") {
      event.preventDefault(); // or it closes the question that it opens
      leave();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void save();
    }
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    void save();
  }

  const input = (field: Field) => ({
    "aria-invalid": errors[field] !== undefined,
    "aria-describedby": `${id}-${field}`,
  });
  const error = (field: Field) => (
    <span className="wrong" id={`${id}-${field}`} role="alert">
      {errors[field]}
    </span>
  );

  return (
    <form className="editor" aria-label={`Edit ${base.title}`} onSubmit={submit} onKeyDown={press} noValidate>
      <label className="field">
        <span>Title</span>
        <input
          dir="auto"
          value={draft.title}
          onChange={(event) => set({ title: event.target.value })}
          // biome-ignore lint/a11y/noAutofocus: the person has just opened this field
          autoFocus
          {...input("title")}
        />
        {error("title")}
      </label>
      <label className="field">
        <span>Notes</span>
        <textarea
          dir="auto"
          rows={Math.min(12, Math.max(2, draft.description.split("\n").length))}
          value={draft.description}
          onChange={(event) => set({ description: event.target.value })}
          {...input("description")}
        />
        {error("description")}
      </label>
      <div className="row">
        <fieldset className="field due">
          <legend>Due</legend>
          <input
            type="date"
            aria-label="Due"
            value={draft.day}
            onChange={(event) => set({ day: event.target.value })}
            {...input("due")}
          />
          <input
            type="time"
            aria-label="Time of day"
            step={draft.time.length > 5 ? 1 : 60}
            value={draft.time}
            disabled={!draft.day}
            onChange={(event) => set({ time: event.target.value })}
          />
          {error("due")}
        </fieldset>
        <label className="field">
          <span>Priority</span>
          <select
            value={draft.priority}
            onChange={(event) => set({ priority: event.target.value as Task["priority"] })}
            {...input("priority")}
          >
            {Object.entries(PRIORITIES).map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
          {error("priority")}
        </label>
      </div>
      <TagField
        tags={draft.tags}
        pending={draft.pendingTag}
        error={errors.tags}
        onChange={(tags, pendingTag) => set({ tags, pendingTag })}
      />
      {theirs && conflicts.length > 0 && (
        <Conflict
          fields={conflicts}
          mine={{ ...base, ...changes }}
          theirs={theirs}
          choices={choices}
          onChoose={(field, choice) => setChoices((now) => ({ ...now, [field]: choice }))}
        />
      )}
      {isGone && (
        <p className="banner" role="alert">
          This task was deleted in another window or on another device. What you wrote is still here.
        </p>
      )}
      <p className="wrong" role="alert">
        {message}
      </p>
      <div className="buttons">
        <button type="submit" className="primary" disabled={isBusy}>
          {isGone ? "Save as a new task" : "Save"}
        </button>
        <button type="button" className="link" onClick={leave}>
          Cancel
        </button>
      </div>
      {isLeaving && (
        <Confirm
          title="Discard your changes?"
          keep="Keep editing"
          act="Discard"
          onKeep={() => setLeaving(false)}
          onAct={onClose}
        >
          What you wrote here is not saved yet.
        </Confirm>
      )}
    </form>
  );
}

/** Takes from a draft the inputs of some fields. */
function pick(draft: Draft, fields: object): Partial<Draft> {
  const { title, description, day, time, priority, tags } = draft;
  return {
    ...("title" in fields && { title }),
    ...("description" in fields && { description }),
    ...("due" in fields && { day, time }),
    ...("priority" in fields && { priority }),
    ...("tags" in fields && { tags }),
  };
}

/** What can be seen to be wrong before anything is sent. */
function errorsOf({ title, description }: Draft): FieldErrors {
  const length = [...title.trim()].length;
  const notes = [...description].length;
  return {
    ...(length === 0 && { title: "The title is empty." }),
    ...(length > TITLE_MAX && { title: `The title has ${length} characters, and at most ${TITLE_MAX} fit.` }),
    ...(notes > NOTES_MAX && { description: `The notes have ${notes} characters, and at most ${NOTES_MAX} fit.` }),
  };
}
