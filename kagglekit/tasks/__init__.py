"""What a label is: five tasks, each of which knows how its labels are read, learnt, predicted, scored and shown.

A new task is one class: derive it from the nearest of these and put an instance into `TASKS`.
"""

from kagglekit._checks import check_choice
from kagglekit.tasks.base import Task, as_numbers, check_finite, natural_order
from kagglekit.tasks.classes import MultiLabel, Ordinal, SingleLabel
from kagglekit.tasks.numbers import Distribution, Regression

__all__ = [
    "DISTRIBUTION",
    "MULTI_LABEL",
    "ORDINAL",
    "REGRESSION",
    "SINGLE_LABEL",
    "TASKS",
    "Task",
    "as_numbers",
    "check_finite",
    "find_task",
    "natural_order",
]

SINGLE_LABEL, MULTI_LABEL, ORDINAL, REGRESSION, DISTRIBUTION = (
    SingleLabel(),
    MultiLabel(),
    Ordinal(),
    Regression(),
    Distribution(),
)
TASKS = {task.name: task for task in (SINGLE_LABEL, MULTI_LABEL, ORDINAL, REGRESSION, DISTRIBUTION)}


def find_task(task):
    """Return the `Task` of a name; a `Task` is returned as it is.

    Raises:
        ValueError: with the nearest name, for one that `TASKS` lacks.

    Example:

    >>> find_task("multi_label").activation
    'sigmoid'
    >>> find_task("multilabel")
    Traceback (most recent call last):
    ValueError: expected task to be one of 'single_label', ... got 'multilabel'. Did you mean 'multi_label'?
    """
    if isinstance(task, Task):
        return task
    check_choice("task", task, TASKS)
    return TASKS[task]
