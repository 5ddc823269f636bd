/** A dialog to sign in again when the session is over. The page below keeps everything that was typed. */

import { type FormEvent, useState } from "react";
import { isProblem } from "../lib";
import { type Person, signIn } from "./account";
import { Field } from "./sign-in";
import { useModal } from "./use-modal";

interface Props {
  readonly person: Person;
  readonly onDone: () => void;
  readonly onLeave: () => void;
}

export function SessionOver({ person, onDone, onLeave }: Props) {
  const dialog = useModal();
  const [error, setError] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const password = String(new FormData(event.currentTarget).get("password") ?? "");
    try {
      await signIn({ email: person.email, password });
      onDone();
    } catch (reason) {
      setError(isProblem(reason) ? reason.detail : "That did not work: try again.");
    }
  }

  return (
    <dialog ref={dialog} aria-labelledby="over" onCancel={(event) => event.preventDefault()}>
      <h2 id="over">Sign in again</h2>
      <p>Your session is over. Nothing is lost: what you were doing goes on afterwards.</p>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <p className="as">
          As <strong>{person.email}</strong>
        </p>
        <Field label="Password" name="password" type="password" autoComplete="current-password" />
        <p className="wrong" role="alert">
          {error}
        </p>
        <div className="buttons">
          <button type="submit" className="primary">
            Sign in
          </button>
          <button type="button" className="link" onClick={onLeave}>
            Discard and leave
          </button>
        </div>
      </form>
    </dialog>
  );
}
