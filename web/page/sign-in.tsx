/** The form to sign in, and the form to make an account. */

import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { isProblem } from "../lib";
import { type Credentials, signIn, signUp } from "./account";

interface Props {
  /** Whether an account works only after its address was confirmed by a mail. */
  readonly verifiesEmail: boolean;
  readonly onDone: () => Promise<void>;
}

type FieldName = "name" | "email" | "password";

interface Fault {
  readonly text: string; // empty if nothing is wrong
  readonly field?: FieldName; // absent if the text is not about one field
}

const NO_FAULT: Fault = { text: "" };
const NO_EMAIL: Fault = { field: "email", text: "Write your e-mail address, like ann@example.com." };

export function SignIn({ verifiesEmail, onDone }: Props) {
  const [isNew, setNew] = useState(false);
  const [shownFault, setShownFault] = useState(NO_FAULT);
  const [isBusy, setBusy] = useState(false);
  const [mailedTo, setMailedTo] = useState("");
  const form = useRef<HTMLFormElement>(null);
  const sent = useRef<HTMLParagraphElement>(null);
  const messageId = useId();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the effect runs when another form is shown, and focuses its first field
  useEffect(() => {
    const first = form.current?.querySelector("input") ?? sent.current;
    first?.focus();
  }, [isNew, mailedTo]);

  function show(isNewAccount: boolean) {
    setNew(isNewAccount);
    setShownFault(NO_FAULT);
    setMailedTo("");
    setBusy(false);
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (isBusy) return;
    const values = new FormData(event.currentTarget);
    const text = (name: string) => String(values.get(name) ?? "").trim();
    const credentials = { email: text("email"), password: String(values.get("password") ?? "") };
    const fault = isNew ? faultOfSignUp(text("name"), credentials) : faultOfSignIn(credentials);
    setShownFault(fault);
    if (fault.text) {
      event.currentTarget.querySelector<HTMLElement>(`[name="${fault.field}"]`)?.focus();
      return;
    }
    setBusy(true);
    try {
      if (!isNew) await signIn(credentials);
      else if (!(await signUp({ ...credentials, name: text("name") }))) return setMailedTo(credentials.email);
      await onDone();
    } catch (error) {
      if (verifiesEmail && isProblem(error) && error.status === 403) return setMailedTo(credentials.email);
      setShownFault({ text: isProblem(error) ? error.detail : "That did not work: try again." });
      setBusy(false);
    }
  }

  if (mailedTo)
    return (
      <main className="card">
        <h1>Taskward</h1>
        <p className="lead" role="status" ref={sent} tabIndex={-1}>
          Look into your mail: open the link that was sent to {mailedTo}, and you are signed in.
        </p>
        {location.hostname === "localhost" && <p>Under make run the mail is in the terminal.</p>}
        <button type="button" className="link" onClick={() => show(false)}>
          Sign in instead
        </button>
      </main>
    );
  const errorOf = (name: FieldName) => (shownFault.field === name ? { errorId: messageId } : {});
  const invitation = verifiesEmail
    ? "Make an account: a minute, and one mail."
    : "Make an account: a minute, and no mail.";
  return (
    <main className="card">
      <h1>Taskward</h1>
      <p className="lead">{isNew ? invitation : "Sign in to your tasks."}</p>
      <form ref={form} onSubmit={(event) => void submit(event)} noValidate>
        {isNew && <Field label="Name" name="name" autoComplete="name" {...errorOf("name")} />}
        <Field label="E-mail" name="email" type="email" autoComplete="email" {...errorOf("email")} />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete={isNew ? "new-password" : "current-password"}
          {...(isNew && { hint: "At least eight characters" })}
          {...errorOf("password")}
        />
        <p className="wrong" role="alert" id={messageId}>
          {shownFault.text}
        </p>
        <button type="submit" className="primary" aria-disabled={isBusy}>
          {isNew ? "Sign up" : "Sign in"}
        </button>
      </form>
      <p className="other">
        {isNew ? "Have an account?" : "New here?"}{" "}
        <button type="button" className="link" onClick={() => show(!isNew)}>
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
  readonly errorId?: string; // the id of the element with the error of this field, if it has one
}

export function Field({ label, name, type = "text", autoComplete, hint, errorId }: FieldProps) {
  return (
    <label className="field">
      <span>
        {label}
        {hint && <small> {hint}</small>}
      </span>
      <input
        name={name}
        type={type}
        autoComplete={autoComplete}
        required
        aria-invalid={errorId !== undefined}
        aria-describedby={errorId}
      />
    </label>
  );
}

function faultOfSignUp(name: string, { email, password }: Credentials): Fault {
  if (!name) return { field: "name", text: "Say what you are called." };
  if (!isEmail(email)) return NO_EMAIL;
  return password.length >= 8
    ? NO_FAULT
    : { field: "password", text: "Choose a password of at least eight characters." };
}

function faultOfSignIn({ email, password }: Credentials): Fault {
  if (!isEmail(email)) return NO_EMAIL;
  return password ? NO_FAULT : { field: "password", text: "Write your password." };
}

const isEmail = (text: string): boolean => /^\S+@\S+\.\S+$/.test(text);
