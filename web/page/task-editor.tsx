/** A form that edits a task in its row. Enter saves, in the notes Ctrl+Enter. Escape closes it, after a question if a change would be lost. */

import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import type { Task } from "../lib";
import { Confirm } from "./confirm";
import { type Choice, Conflict } from "./conflict";
import { type Changes, changesBetween, conflictsOf, type Draft, draftOf, originOf, refilled } from "./edited";
import { TagField } from "./tag-field";
import { useUnsaved } from "./unsaved";
import type { Saved } from "./use-tasks";
import type { Field, FieldErrors } from "./words";

interface Props {
  readonly task: Task;
  readonly onSave: (task: Task, changes: Changes) => Promise<Saved>;
  readonly onSaveAsNew: (draft: Task) => Promise<boolean>;
  readonly onClose: () => void;
}

const PRIORITIES = { none: "No priority", low: "Low", medium: "Medium", high: "High" } as const;
const TITLE_MAX = 255; // code points
const NOTES_MAX = 10_000; // code points

export function TaskEditor({ task, onSave, onSaveAsNew, onClose }: Props) {
  const [base, setBase] = useState(task); // the version that is edited; a newer one in the list changes nothing here
  const [draft, setDraft] = useState(() => draftOf(task));
  const [theirs, setTheirs] = useState<Task | null>(null); // another device's version, if both changed the same field
  const [choices, setChoices] = useState<Partial<Record<Field, Choice>>>({});
  const [errors, setErrors] = useState<FieldErrors>({});
  const [message, setMessage] = useState({ text: "" }); // an object, because the same text may have to be scrolled to again
  const [isGone, setGone] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [isLeaving, setLeaving] = useState(false);
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  const buttons = useRef<HTMLDivElement>(null);
  const currentDraft = useRef(draft); // for `save` after a request, when `draft` there is old
  currentDraft.current = draft;

  // The message is above the buttons, and may be below the edge of a small screen.
  useEffect(() => {
    if (message.text || isGone) buttons.current?.scrollIntoView({ block: "nearest" });
  }, [message, isGone]);

  // The first wrong field may be far above the buttons, and its message is below it.
  useEffect(() => {
    if (Object.keys(errors).length === 0) return;
    const wrong = form.current?.querySelector<HTMLElement>("[aria-invalid='true']");
    wrong?.focus();
    wrong?.closest(".field")?.scrollIntoView({ block: "nearest" });
  }, [errors]);

  const changes = changesBetween(draftOf(base), draft);
  const hasChanges = Object.keys(changes).length > 0;
  useUnsaved(task.id, hasChanges);
  const conflicts = theirs ? conflictsOf(changes, base, theirs) : [];
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));

  async function save() {
    const wrong = { ...errorsOf(draft), ...errorsOfDue(form.current) };
    setErrors(wrong);
    setMessage({ text: "" });
    if (Object.keys(wrong).length > 0 || isBusy) return;
    const undecided = conflicts.find((field) => !choices[field]);
    if (undecided) {
      setMessage({ text: "Choose which to keep, for each of these." });
      form.current?.querySelector<HTMLElement>(`[name="keep-${undecided}"]`)?.focus();
      return;
    }
    const opened = theirs ?? base; // what the person saw when they wrote or chose
    const kept = keptOf(changes, choices);
    setBusy(true);
    let current = opened;
    let saved: Saved = { kind: "saved" };
    if (isGone) {
      if (!(await onSaveAsNew({ ...base, ...kept }))) saved = { kind: "refused", message: "Not added.", errors: {} };
    } else
      while (Object.keys(kept).length > 0) {
        saved = await onSave(current, kept);
        if (saved.kind !== "conflict") break;
        const { now } = saved;
        if (conflictsOf(kept, opened, now).length > 0) break;
        current = now; // somebody else changed other fields: both changes stay
      }
    setBusy(false);
    switch (saved.kind) {
      case "saved":
        onClose();
        break;
      case "conflict": {
        const mine = keptOf(changesBetween(draftOf(base), currentDraft.current), choices);
        setBase(originOf(conflictsOf(mine, opened, saved.now), opened, saved.now));
        setDraft(refilled(currentDraft.current, mine, saved.now));
        setTheirs(saved.now);
        setChoices({});
        break;
      }
      case "gone":
        setGone(true);
        break;
      case "refused":
        setErrors(saved.errors);
        setMessage({ text: Object.keys(saved.errors).length > 0 ? "" : saved.message });
    }
  }

  function leave() {
    if (hasChanges || errorsOfDue(form.current).due) setLeaving(true);
    else onClose();
  }

  function press(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return; // Escape and Enter are the input method's
    if (event.key === "Escape") {
      event.preventDefault(); // otherwise this Escape would also close the dialog that `leave` opens
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
    <form
      ref={form}
      className="editor"
      aria-label={`Edit ${base.title}`}
      onSubmit={submit}
      onKeyDown={press}
      noValidate
    >
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
        {message.text}
      </p>
      <div className="buttons" ref={buttons}>
        <button type="submit" className="primary" aria-disabled={isBusy}>
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

/** Returns the changes without those for which the person chose the other version. */
function keptOf(changes: Changes, choices: Partial<Record<Field, Choice>>): Changes {
  return Object.fromEntries(Object.entries(changes).filter(([field]) => choices[field as Field] !== "theirs"));
}

/** Returns the errors that can be found before anything is sent. */
function errorsOf({ title, description }: Draft): FieldErrors {
  const titleLength = [...title.trim()].length;
  const notesLength = [...description].length;
  return {
    ...(titleLength === 0 && { title: "The title is empty." }),
    ...(titleLength > TITLE_MAX && { title: `The title has ${titleLength} characters, and at most ${TITLE_MAX} fit.` }),
    ...(notesLength > NOTES_MAX && {
      description: `The notes have ${notesLength} characters, and at most ${NOTES_MAX} fit.`,
    }),
  };
}

/** Returns an error if a date or a time is half typed. Only the browser knows this: the value of such an input is empty. */
function errorsOfDue(form: HTMLFormElement | null): FieldErrors {
  const isHalfTyped = (type: string) =>
    form?.querySelector<HTMLInputElement>(`input[type="${type}"]:enabled`)?.validity.badInput;
  if (isHalfTyped("date")) return { due: "The date is not complete." };
  return isHalfTyped("time") ? { due: "The time is not complete." } : {};
}
