/** Who is here: nobody yet, nobody, or a person with their tasks. */

import { useEffect, useMemo, useState } from "react";
import { createApi } from "../lib/api";
import { createAuth, type Person } from "../lib/auth";
import { Loading } from "./loading";
import { SessionOver } from "./session-over";
import { SignIn } from "./sign-in";
import { Tasks } from "./tasks";

type Here = { readonly person: Person | null } | "loading" | "unreachable";

interface Props {
  readonly apiUrl: string;
  readonly verifiesEmail: boolean;
}

export function App({ apiUrl, verifiesEmail }: Props) {
  const [here, setHere] = useState<Here>("loading");
  const [isOver, setOver] = useState(false);

  const parts = useMemo(() => {
    /** Looks who is signed in. Whoever is shown stays, with all they typed, where that cannot be seen. */
    async function look(): Promise<void> {
      const person = await auth.person().catch(() => undefined);
      setHere((now) => (person !== undefined ? { person } : isPerson(now) ? now : "unreachable"));
    }
    const auth = createAuth(undefined, {
      onSignedOut: (how) => {
        setOver(how === "over");
        if (how === "elsewhere") setHere({ person: null });
      },
      onSignedIn: () => {
        setOver(false);
        void look();
      },
      onOtherUser: () => location.reload(), // nothing of the one before may stay on the screen
    });
    return { auth, look, api: createApi({ baseUrl: apiUrl, session: auth.session }) };
  }, [apiUrl]);
  const { auth, api, look } = parts;

  useEffect(() => void look(), [look]);

  if (here === "loading") return <Loading />;
  if (here === "unreachable")
    return (
      <main className="card">
        <h1>Taskward</h1>
        <p>The server cannot be reached. Your tasks are safe there.</p>
        <button type="button" className="primary" onClick={() => void look()}>
          Try again
        </button>
      </main>
    );
  if (!here.person) return <SignIn auth={auth} verifiesEmail={verifiesEmail} onDone={look} />;
  return (
    <>
      <Tasks
        key={here.person.id}
        api={api}
        person={here.person}
        onSignOut={async () => {
          await auth.signOut();
          setHere({ person: null });
        }}
      />
      {isOver && (
        <SessionOver
          auth={auth}
          person={here.person}
          onDone={() => setOver(false)}
          onLeave={() => {
            auth.session.signOut();
            setOver(false);
            setHere({ person: null });
          }}
        />
      )}
    </>
  );
}

const isPerson = (here: Here): boolean => typeof here === "object" && here.person !== null;
