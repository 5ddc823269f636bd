/** Shows a message in place of a part of the page that threw, with what the person had written there. */

import { Component, type ReactNode, useState } from "react";

interface Props {
  readonly children: ReactNode;
  readonly instead: (again: () => void) => ReactNode;
}

/** Shows `instead` if a part of the page throws. Otherwise React would remove the whole page. */
export class Boundary extends Component<Props, { readonly isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override render() {
    const { children, instead } = this.props;
    return this.state.isBroken ? instead(() => this.setState({ isBroken: false })) : children;
  }
}

export function BrokenPage() {
  return (
    <main className="card">
      <h1>Taskward</h1>
      <p className="lead" role="alert">
        Something went wrong on this page. What you saved is safe on the server.
      </p>
      <WrittenText within="root" />
      <button type="button" className="primary" onClick={() => location.reload()}>
        Load the page again
      </button>
    </main>
  );
}

interface BrokenRowProps {
  readonly id: string; // of the task
  readonly onAgain: () => void;
}

export function BrokenRow({ id, onAgain }: BrokenRowProps) {
  return (
    <li className="task" id={`task-${id}`}>
      <div className="what">
        <p className="wrong" role="alert">
          Something went wrong with this task on this page. What you saved is safe on the server.
        </p>
        <WrittenText within={`task-${id}`} />
        <button type="button" className="link" onClick={onAgain}>
          Show it again
        </button>
      </div>
    </li>
  );
}

/** Shows what was written in the fields of an element. The fields are still in the document at the first rendering. */
function WrittenText({ within }: { readonly within: string }) {
  const [text] = useState(() => textWithin(within));
  if (!text) return null;
  return (
    <label className="field">
      <span>What you wrote, to copy</span>
      <textarea dir="auto" rows={Math.min(12, text.split("\n").length + 1)} defaultValue={text} readOnly />
    </label>
  );
}

function textWithin(id: string): string {
  const fields = document.getElementById(id)?.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>(
    "input, textarea", // no password, e-mail address or search
  );
  return [...(fields ?? [])]
    .filter(({ type, value }) => (type === "text" || type === "textarea") && value.trim() !== "")
    .map(({ value }) => value)
    .join("\n");
}
