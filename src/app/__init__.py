"""Taskward: a task list per person, over Neon PostgreSQL, behind Better Auth."""
