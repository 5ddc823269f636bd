/** Signing in, and making an account. */

import { type FormEvent, useState } from "react";
import { isProblem } from "../lib";
import { signIn, signUp } from "./account";

interface Props {
  /** Whether an account works only after its address was confirmed by a mail. */
  readonly verifiesEmail: boolean;
  readonly onDone: () => Promise<void>;
}

export function SignIn({ verifiesEmail, onDone }: Props) {
  const [isNew, setNew] = useState(false);
  const [wrong, setWrong] = useState("");
  const [isBusy, setBusy] = useState(false);
  const [mailedTo, setMailedTo] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const credentials = { email: text("email"), password: String(form.get("password") ?? "") };
    const missing = fault(isNew, text("name"), credentials.email, credentials.password);
    setWrong(missing);
    if (missing) return;
    setBusy(true);
    try {
      if (!isNew) await signIn(credentials);
      else if (!(await signUp({ ...credentials, name: text("name") }))) return setMailedTo(credentials.email);
      await onDone();
    } catch (error) {
      if (verifiesEmail && isProblem(error) && error.status === 403) return setMailedTo(credentials.email);
      setWrong(isProblem(error) ? error.detail : "That did not work: try again.");
      setBusy(false);
    }
  }

  if (mailedTo)
    return (
      <main className="card">
        <h1>Taskward</h1>
        <p className="lead" role="status">
          Look into your mail: open the link that was sent to {mailedTo}, and you are signed in.
        </p>
        {location.hostname === "localhost" && <p>Under make run the mail is in the terminal.</p>}
        <button
          type="button"
          className="link"
          onClick={() => {
            setMailedTo("");
            setNew(false);
            setBusy(false);
          }}
        >
          Sign in instead
        </button>
      </main>
    );
  const making = verifiesEmail ? "Make an account: a minute, and one mail." : "Make an account: a minute, and no mail.";
  return (
    <main className="card">
      <h1>Taskward</h1>
      <p className="lead">{isNew ? making : "Sign in to your tasks."}</p>
      <form onSubmit={(event) => void submit(event)} noValidate>
        {isNew && <Field label="Name" name="name" autoComplete="name" />}
        <Field label="E-mail" name="email" type="email" autoComplete="email" />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete={isNew ? "new-password" : "current-password"}
          {...(isNew && { hint: "At least eight characters" })}
        />
        <p className="wrong" role="alert">
          {wrong}
        </p>
        <button type="submit" className="primary" disabled={isBusy}>
          {isNew ? "Sign up" : "Sign in"}
        </button>
      </form>
      <p className="other">
        {isNew ? "You have an account?" : "New here?"}{" "}
        <button
          type="button"
          className="link"
          onClick={() => {
            setNew(!isNew);
            setWrong("");
          }}
        >
          {isNew ? "Sign in instead" : "Make an account"}
        </button>
      </p>
    </main>
  );
}

interface FieldProps {
  readonly label: string;
  readonly name: string;
  readonly type?: string;
  readonly autoComplete: string;
  readonly hint?: string;
}

export function Field({ label, name, type = "text", autoComplete, hint }: FieldProps) {
  return (
    <label className="field">
      <span>
        {label}
        {hint && <small> {hint}</small>}
      </span>
      <input name={name} type={type} autoComplete={autoComplete} required />
    </label>
  );
}

function fault(isNew: boolean, name: string, email: string, password: string): string {
  if (isNew && !name) return "Say what you are called.";
  if (!/^\S+@\S+\.\S+$/.test(email)) return "Write your e-mail address, like ann@example.com.";
  if (isNew && password.length < 8) return "Choose a password of at least eight characters.";
  return password ? "" : "Write your password.";
}
