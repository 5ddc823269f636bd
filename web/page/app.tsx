/** Shows the form to sign in, or the tasks of the person who is signed in. */

import { useEffect, useMemo, useState } from "react";
import { createTaskward } from "../lib";
import { authClient, currentPerson, type Person, signOut } from "./account";
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
  const [hasJustSignedIn, setJustSignedIn] = useState(false); // with the form of this page, since it was loaded

  const { api, readSession, leave } = useMemo(() => {
    /** Reads who is signed in. If that fails, the page still shows the same person and all that they typed. */
    async function readSession(): Promise<void> {
      const person = await currentPerson().catch(() => undefined);
      setHere((now) => (person !== undefined ? { person } : isPerson(now) ? now : "unreachable"));
    }
    /** Shows the form to sign in, and forgets the person who was here. */
    function leave(): void {
      setOver(false);
      setJustSignedIn(false);
      setHere({ person: null });
      session.cleared();
    }
    const { api, session } = createTaskward({
      auth: authClient,
      baseUrl: apiUrl,
      whenSignedOut: "wait",
      onSignedOut: (how) => (how === "over" ? setOver(true) : leave()),
      onSignedIn: () => {
        setOver(false);
        void readSession();
      },
    });
    return {
      api,
      readSession,
      leave: () => {
        session.signedOut();
        leave();
      },
    };
  }, [apiUrl]);

  useEffect(() => {
    void readSession();
  }, [readSession]);

  const isSignedOut = here !== "loading" && here !== "unreachable" && here.person === null;
  useEffect(() => {
    if (!isSignedOut) return undefined;
    return authClient.useSession.listen(({ data }) => void (data && readSession())); // also a sign-in in another tab
  }, [isSignedOut, readSession]);

  if (here === "loading") return <Loading />;
  if (here === "unreachable")
    return (
      <main className="card">
        <h1>Taskward</h1>
        <p>The server cannot be reached. Your tasks are safe there.</p>
        <button type="button" className="primary" onClick={() => void readSession()}>
          Try again
        </button>
      </main>
    );
  if (!here.person) {
    const enter = () => {
      setJustSignedIn(true);
      return readSession();
    };
    return <SignIn verifiesEmail={verifiesEmail} onDone={enter} />;
  }
  return (
    <>
      <Tasks
        key={here.person.id}
        api={api}
        person={here.person}
        hasJustSignedIn={hasJustSignedIn}
        onSignOut={async () => {
          await signOut();
          leave();
        }}
      />
      {isOver && <SessionOver person={here.person} onDone={() => setOver(false)} onLeave={leave} />}
    </>
  );
}

const isPerson = (here: Here): boolean => typeof here === "object" && here.person !== null;
