/** Returns the present time, renewed each minute and when the person comes back to the page. */

import { useEffect, useState } from "react";

const MINUTE = 60_000; // milliseconds

export function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const renew = () => setNow(new Date());
    let timer = setTimeout(
      function tick() {
        renew();
        timer = setTimeout(tick, MINUTE - (Date.now() % MINUTE));
      },
      MINUTE - (Date.now() % MINUTE),
    );
    document.addEventListener("visibilitychange", renew);
    window.addEventListener("focus", renew);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", renew);
      window.removeEventListener("focus", renew);
    };
  }, []);
  return now;
}
