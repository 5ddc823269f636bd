/** What a person who does not see the list is told of it. */

import { useCallback, useState } from "react";

interface Saying {
  readonly text: string;
  readonly count: number; // so that a screen reader also reads what is said for a second time
}

export function useSaid(): [said: Saying, say: (text: string) => void] {
  const [said, setSaid] = useState<Saying>({ text: "", count: 0 });
  const say = useCallback((text: string) => setSaid(({ count }) => ({ text, count: count + 1 })), []);
  return [said, say];
}

export function Said({ said }: { readonly said: Saying }) {
  return (
    <p className="quiet said" role="status">
      <span key={said.count}>{said.text}</span>
    </p>
  );
}
