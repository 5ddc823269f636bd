import { type FormEvent, useState } from "react";
import { authClient } from "./auth-client";

export function SignIn() {
  const [isNew, setNew] = useState(false);
  const [message, setMessage] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    const credentials = { email: text("email"), password: text("password") };
    const { error } = isNew
      ? await authClient.signUp.email({ ...credentials, name: text("name") })
      : await authClient.signIn.email(credentials);
    if (error) setMessage(error.message ?? "That did not work: try again.");
  }

  return (
    <form onSubmit={submit}>
      {isNew && (
        <label>
          Name <input name="name" autoComplete="name" required />
        </label>
      )}
      <label>
        E-mail <input name="email" type="email" autoComplete="email" required />
      </label>
      <label>
        Password{" "}
        <input name="password" type="password" autoComplete={isNew ? "new-password" : "current-password"} required />
      </label>
      <button type="submit">{isNew ? "Sign up" : "Sign in"}</button>
      <button type="button" onClick={() => setNew(!isNew)}>
        {isNew ? "I have an account" : "Make an account"}
      </button>
      <p role="alert">{message}</p>
    </form>
  );
}
