/** One task: looked at, completed, edited in place. */

import { useRef, useState } from "react";
import type { Task } from "../lib/api";
import { dueInWords } from "./due";
import { TaskEditor } from "./task-editor";
import { DRAFT, type useTasks } from "./use-tasks";

interface Props {
  readonly task: Task;
  readonly list: ReturnType<typeof useTasks>;
  readonly isTrash: boolean;
  readonly isOwnOrder: boolean;
  readonly onTag: (tag: string) => void;
  readonly onGone: () => void;
}

export function TaskRow({ task, list, isTrash, isOwnOrder, onTag, onGone }: Props) {
  const [isEditing, setEditing] = useState(false);
  const title = useRef<HTMLButtonElement>(null);
  const isDraft = task.id.startsWith(DRAFT);

  function close() {
    setEditing(false);
    requestAnimationFrame(() => {
      if (document.activeElement === document.body) title.current?.focus(); // not from whoever writes elsewhere by now
    });
  }

  if (isEditing)
    return (
      <li className="task">
        <TaskEditor task={task} onSave={(changes) => list.save(task, changes)} onClose={close} />
      </li>
    );
  return (
    <li className="task" data-done={task.completed} data-priority={task.priority}>
      {!isTrash && (
        <input
          type="checkbox"
          aria-label={`Done: ${task.title}`}
          checked={task.completed}
          disabled={isDraft}
          onChange={() => void list.toggle(task)}
        />
      )}
      <div className="what">
        {isTrash ? (
          <span className="title">{task.title}</span>
        ) : (
          <button ref={title} type="button" className="title" disabled={isDraft} onClick={() => setEditing(true)}>
            {task.title}
            <span className="quiet">, edit</span>
          </button>
        )}
        {task.description && <p className="about">{task.description}</p>}
        <Facts task={task} onTag={onTag} />
      </div>
      {isTrash ? (
        <div className="actions">
          <button type="button" onClick={() => void list.restore(task)} aria-label={`Restore ${task.title}`}>
            Restore
          </button>
          <button type="button" onClick={() => void list.end(task)} aria-label={`Delete ${task.title} for good`}>
            Delete
          </button>
        </div>
      ) : (
        <div className="actions">
          {isOwnOrder && (
            <>
              <button type="button" onClick={() => void list.move(task, -1)} aria-label={`Move ${task.title} up`}>
                ↑
              </button>
              <button type="button" onClick={() => void list.move(task, 1)} aria-label={`Move ${task.title} down`}>
                ↓
              </button>
            </>
          )}
          <button
            type="button"
            aria-label={`Delete ${task.title}`}
            disabled={isDraft}
            onClick={() => {
              void list.remove(task);
              onGone();
            }}
          >
            ✕
          </button>
        </div>
      )}
    </li>
  );
}

function Facts({ task, onTag }: { readonly task: Task; readonly onTag: (tag: string) => void }) {
  const due = task.due && dueInWords(task.due, new Date());
  if (!due && task.priority === "none" && task.tags.length === 0) return null;
  return (
    <p className="facts">
      {due && <span data-late={due.isLate && !task.completed}>{due.text}</span>}
      {task.priority !== "none" && <span className="priority">{task.priority} priority</span>}
      {task.tags.map((tag) => (
        <button
          key={tag}
          type="button"
          className="tag"
          onClick={() => onTag(tag)}
          aria-label={`Show tasks tagged ${tag}`}
        >
          #{tag}
        </button>
      ))}
    </p>
  );
}
