/** Placeholders while tasks are loaded. They are as high as tasks, so nothing jumps when the tasks come. */

export function Loading() {
  return (
    <main className="page" aria-busy="true">
      <header className="top">
        <span className="brand">Taskward</span>
      </header>
      <Skeleton />
    </main>
  );
}

export function Skeleton() {
  return (
    <div className="skeleton" role="status">
      <span className="visually-hidden">Loading …</span>
      {["a", "b", "c", "d"].map((row) => (
        <span key={row} className="placeholder" />
      ))}
    </div>
  );
}
