/** Effects of React: each line that the lint has to report is marked. */

import { useEffect, useLayoutEffect, useMemo } from "react";

export function Plants({ look, follow }: { look: () => void; follow: () => () => void }) {
  useEffect(() => look(), [look]); // returns
  useEffect(() => void look(), [look]); // returns
  useLayoutEffect(() => follow(), [follow]); // returns
  useEffect(() => {
    look();
  }, [look]);
  useEffect(() => {
    return follow();
  }, [follow]);
  return useMemo(() => look.name, [look]);
}
