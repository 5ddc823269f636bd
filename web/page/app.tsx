/** Shows the form to sign in, or the tasks of the person who is signed in. */

import { useEffect, useMemo, useState } from "react";
import { createTaskward } from "../lib";
import { authClient, currentPerson, type Person, signOut } from "./account";
import { Loading } from "./loading";
import { clearSelection } from "./selection-url";
import { SessionOver } from "./session-over";
import { SignIn } from "./sign-in";
import { Tasks } from "./tasks";

/** Who is signed in, as far as the page knows. */
type SignedIn = { readonly person: Person | null } | "loading" | "unreachable";

interface Props {
  readonly apiUrl: string;
  readonly verifiesEmail: boolean;
}

export function App({ apiUrl, verifiesEmail }: Props) {
  const [signedIn, setSignedIn] = useState<SignedIn>("loading");
  const [isOver, setOver] = useState(false);
  const [hasJustSignedIn, setJustSignedIn] = useState(false); // with the form of this page, since it was loaded

  const { api, readSession, leave } = useMemo(() => {
    /** Reads who is signed in. If that fails, the page still shows the same person and all that they typed. */
    async function readSession(): Promise<void> {
      const person = await currentPerson().catch(() => undefined);
      if (person !== undefined) setSignedIn({ person });
      else setSignedIn((now) => (hasPerson(now) ? now : "unreachable"));
    }
    /** Shows the form to sign in, and forgets the person who was signed in. */
    function leave(): void {
      setOver(false);
      setJustSignedIn(false);
      setSignedIn({ person: null });
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
      onOtherUser: () => {
        clearSelection();
        location.reload();
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

  const isSignedOut = signedIn !== "loading" && signedIn !== "unreachable" && signedIn.person === null;
  useEffect(() => {
    if (!isSignedOut) return undefined;
    clearSelection();
    window.addEventListener("popstate", clearSelection); // the Back button shows nobody's words
    const stopListening = authClient.useSession.listen(({ data }) => void (data && readSession())); // also of other tabs
    return () => {
      window.removeEventListener("popstate", clearSelection);
      stopListening();
    };
  }, [isSignedOut, readSession]);

  if (signedIn === "loading") return <Loading />;
  if (signedIn === "unreachable")
    return (
      <main className="card">
        <h1>Taskward</h1>
        <p>The server cannot be reached. Your tasks are safe there.</p>
        <button type="button" className="primary" onClick={() => void readSession()}>
          Try again
        </button>
      </main>
    );
  if (!signedIn.person) {
    const enter = () => {
      setJustSignedIn(true);
      return readSession();
    };
    return <SignIn verifiesEmail={verifiesEmail} onDone={enter} />;
  }
  return (
    <>
      <Tasks
        key={signedIn.person.id}
        api={api}
        person={signedIn.person}
        hasJustSignedIn={hasJustSignedIn}
        onSignOut={async () => {
          await signOut();
          leave();
        }}
      />
      {isOver && <SessionOver person={signedIn.person} onDone={() => setOver(false)} onLeave={leave} />}
    </>
  );
}

const hasPerson = (signedIn: SignedIn): boolean => typeof signedIn === "object" && signedIn.person !== null;
