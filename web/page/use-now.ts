/** The present moment, renewed each minute and when the page is looked at again. */

import { useEffect, useState } from "react";

const MINUTE = 60_000; // milliseconds

export function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const look = () => setNow(new Date());
    let timer = setTimeout(
      function tick() {
        look();
        timer = setTimeout(tick, MINUTE - (Date.now() % MINUTE));
      },
      MINUTE - (Date.now() % MINUTE),
    );
    document.addEventListener("visibilitychange", look);
    window.addEventListener("focus", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
      window.removeEventListener("focus", look);
    };
  }, []);
  return now;
}
