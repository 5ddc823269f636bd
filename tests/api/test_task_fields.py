"""Each field of a task has one description, in `app.api.task_fields`.

Each of these faults, put into the code on purpose, made a test fail: a field without a reader, and one without a
description.
"""

from dataclasses import fields

from app.api.requests.validation import READ_ONLY
from app.api.task_fields import READERS, TASK_FIELDS
from app.domain.task import NewTask, Task, TaskChanges


def test_each_field_of_a_task_is_described() -> None:
    assert set(TASK_FIELDS) == {"user_id", *(field.name for field in fields(Task))}


def test_clients_set_the_fields_that_have_a_reader_and_no_others() -> None:
    assert set(READERS) == {field.name for field in fields(NewTask)} == set(TaskChanges.__slots__)
    assert READ_ONLY.isdisjoint(READERS)
