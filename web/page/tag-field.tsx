/** Tags, each with a button that removes it. A comma adds the typed text as a tag, and so does saving the form. A tag that another client made may contain a comma. */

import { type KeyboardEvent, useId, useRef } from "react";
import { tagKey } from "./arrange";
import { Words } from "./words";

interface Props {
  readonly tags: readonly string[];
  readonly pending: string; // what was typed and is no tag yet
  readonly error: string | undefined;
  readonly onChange: (tags: readonly string[], pending: string) => void;
}

export function TagField({ tags, pending, error, onChange }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const id = useId();

  function remove(tag: string) {
    onChange(
      tags.filter((each) => each !== tag),
      pending,
    );
    input.current?.focus();
  }

  function type(text: string) {
    const parts = text.split(",");
    onChange(withTags(tags, parts.slice(0, -1)), parts.at(-1) ?? "");
  }

  function press(event: KeyboardEvent) {
    const last = tags.at(-1);
    if (event.key === "Backspace" && pending === "" && last !== undefined) remove(last);
  }

  return (
    <div className="field">
      <label htmlFor={id}>
        Tags <small>a comma after each</small>
      </label>
      <div className="tag-field">
        {tags.map((tag) => (
          <span key={tag} className="chip">
            <Words text={tag} />
            <button type="button" aria-label={`Remove tag ${tag}`} onClick={() => remove(tag)}>
              ✕
            </button>
          </span>
        ))}
        <input
          ref={input}
          id={id}
          dir="auto"
          value={pending}
          onChange={(event) => type(event.target.value)}
          onKeyDown={press}
          autoComplete="off"
          aria-invalid={error !== undefined}
          aria-describedby={`${id}-error`}
        />
      </div>
      <span className="wrong" id={`${id}-error`} role="alert">
        {error}
      </span>
    </div>
  );
}

/** Returns the tags, and then each of `more` that is not among them in any spelling. */
export function withTags(tags: readonly string[], more: readonly string[]): readonly string[] {
  const all = [...tags];
  for (const tag of more.map((each) => each.trim()))
    if (tag && !all.some((each) => tagKey(each) === tagKey(tag))) all.push(tag);
  return all;
}
