/** One task of the list, which a person can complete and edit in place. */

import { useEffect, useRef, useState } from "react";
import type { Task } from "../lib";
import { Confirm } from "./confirm";
import { dueInWords } from "./due";
import { focusRowInNextFrame, useRow } from "./focus";
import { TaskEditor } from "./task-editor";
import { DRAFT_PREFIX, type useTasks } from "./use-tasks";
import { Words } from "./words";

interface Props {
  readonly task: Task;
  readonly list: ReturnType<typeof useTasks>;
  readonly now: Date;
  readonly isManualOrder: boolean;
  readonly onTag: (tag: string) => void;
  readonly onLastGone: () => void; // the last row was removed while it had the focus
}

export function TaskRow({ task, list, now, isManualOrder, onTag, onLastGone }: Props) {
  const [isEditing, setEditing] = useState(false);
  const [isConfirming, setConfirming] = useState(false); // whether the task is to be deleted forever
  const row = useRow(onLastGone);
  const isDraft = task.id.startsWith(DRAFT_PREFIX);
  const isTrash = task.trashed_at !== null; // of the task: while another list is loaded, this one is still shown

  const { keep } = list;
  useEffect(() => {
    if (isEditing) return keep(task.id);
  }, [isEditing, keep, task.id]);

  const wasEditing = useRef(false);
  useEffect(() => {
    if (wasEditing.current && !isEditing) focusRowInNextFrame(task.id); // the editor had the focus and was removed
    wasEditing.current = isEditing;
  }, [isEditing, task.id]);

  function move(by: -1 | 1) {
    void list.move(task, by);
    requestAnimationFrame(() => row.current?.scrollIntoView({ block: "nearest" })); // the row keeps the focus
  }

  if (isEditing)
    return (
      <li className="task" id={`task-${task.id}`} ref={row}>
        <TaskEditor
          task={task}
          onSave={list.save}
          onSaveAsNew={async ({ title, description, due, priority, tags }) => {
            const isAdded = await list.add({ title, description, due, priority, tags });
            if (isAdded) list.forget(task);
            return isAdded;
          }}
          onClose={() => setEditing(false)}
        />
      </li>
    );
  return (
    <li className="task" id={`task-${task.id}`} ref={row} data-done={task.completed} data-priority={task.priority}>
      {!isTrash && (
        <label className="check">
          <input
            type="checkbox"
            aria-label={`Done: ${task.title}`}
            checked={task.completed}
            disabled={isDraft}
            onChange={() => void list.toggle(task)}
          />
        </label>
      )}
      <div className="what">
        {isTrash ? (
          <Words text={task.title} className="title" />
        ) : (
          <button type="button" className="title" disabled={isDraft} onClick={() => setEditing(true)}>
            <Words text={task.title} />
            <span className="visually-hidden">, edit</span>
          </button>
        )}
        {task.description && (
          <p className="about" dir="auto" key={task.description}>
            {task.description}
          </p>
        )}
        <Facts task={task} now={now} onTag={onTag} />
      </div>
      {isTrash ? (
        <div className="actions">
          <button
            type="button"
            className="restore"
            onClick={() => void list.restore(task)}
            aria-label={`Restore ${task.title}`}
          >
            Restore
          </button>
          <button
            type="button"
            className="danger"
            onClick={() => setConfirming(true)}
            aria-label={`Delete forever: ${task.title}`}
          >
            Delete forever
          </button>
          {isConfirming && (
            <Confirm
              title="Delete forever?"
              keep="Keep it"
              act="Delete forever"
              onKeep={() => setConfirming(false)}
              onAct={() => {
                setConfirming(false);
                void list.deleteForever(task);
              }}
            >
              “<Words text={task.title} />” will be gone, and nobody can bring it back.
            </Confirm>
          )}
        </div>
      ) : (
        <div className="actions">
          {isManualOrder && (
            <>
              <button type="button" onClick={() => move(-1)} aria-label={`Move ${task.title} up`}>
                ↑
              </button>
              <button type="button" onClick={() => move(1)} aria-label={`Move ${task.title} down`}>
                ↓
              </button>
            </>
          )}
          <button
            type="button"
            aria-label={`Delete ${task.title}`}
            disabled={isDraft}
            onClick={() => void list.remove(task)}
          >
            ✕
          </button>
        </div>
      )}
    </li>
  );
}

interface FactsProps {
  readonly task: Task;
  readonly now: Date;
  readonly onTag: (tag: string) => void;
}

function Facts({ task, now, onTag }: FactsProps) {
  const due = task.due && dueInWords(task.due, now);
  if (!due && task.priority === "none" && task.tags.length === 0) return null;
  return (
    <p className="facts">
      {due && (
        <span key={due.text} data-late={due.isLate && !task.completed}>
          {due.text}
        </span>
      )}
      {task.priority !== "none" && (
        <span key={task.priority} className="priority">
          {task.priority} priority
        </span>
      )}
      {task.tags.map((tag) => (
        <button
          key={`#${tag}`}
          type="button"
          className="tag"
          onClick={() => onTag(tag)}
          aria-label={`Show tasks tagged ${tag}`}
        >
          #<Words text={tag} />
        </button>
      ))}
    </p>
  );
}
