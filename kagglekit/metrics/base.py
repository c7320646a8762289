"""`Metric`: a function of labels and probabilities that knows its direction and the tasks it is for."""

import dataclasses
import inspect
import math
import re
import warnings
from collections.abc import Callable

import numpy as np

from kagglekit._files import source_hash
from kagglekit.tasks import find_task

BUILT_IN = {}  # name -> Metric, filled by the table in `kagglekit.metrics`
_NAME = re.compile(r"\w[\w .@+-]*")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Metric:
    """A metric, the kit's or one of your own: used alike for early stopping, tuning, TTA, blending and plots.

    A metric equals its name (`comp.metric == "auc"`), as a numpy dtype does, and `str(metric)` is the name; files hold
    the name alone. A run trained for a metric of your own is opened from its folder by `kk.Run(folder, metric=...)`.

    Args:
        function: `function(labels, probabilities)` returns a number, or NaN where the rows do not define it. `labels`:
            class numbers, int64 `(rows,)`, where a row has one label, else float32 `(rows, outputs)`; `probabilities`:
            float `(rows, outputs)`, in `[0, 1]` (any number for a regression). If it has a parameter `class_names`, it
            gets the names of the outputs, or None. Its source is part of a run's hash.
        higher_is_better: whether a larger value is a better one.
        name: short name, for files, columns and axes. Defaults to the function's.
        tasks: names of the tasks that it is for. Defaults to all.
        needs: function of the labels that returns in words what they lack for the metric to be defined, or `""`.
            Where they lack something the score is NaN: in one fold, while the score over all rows is still computed.
        of_probabilities: whether the size or the order of the probabilities counts. False: only what is decided by
            them, so that a submission may hold class names.
        log_axis: whether plots draw it on a logarithmic axis.

    Raises:
        ValueError: if the name is empty, `loss` or that of a built-in metric.
        TypeError: if `function` cannot be called or `higher_is_better` is not a bool.

    Example:

    >>> def doubt(labels, probabilities):
    ...     return 1 - probabilities[np.arange(len(labels)), labels].mean()
    >>> metric = Metric(doubt, higher_is_better=False)
    >>> metric, metric == "doubt", metric.better(0.1, 0.2), metric.best({"a": 0.3, "b": 0.2})
    (Metric('doubt', higher_is_better=False), True, True, 'b')
    """

    function: Callable
    _: dataclasses.KW_ONLY
    higher_is_better: bool
    name: str | None = None
    tasks: tuple | None = None
    needs: Callable | None = None
    of_probabilities: bool = True
    log_axis: bool = False

    def __post_init__(self):
        if not callable(self.function):
            raise TypeError(f"expected a function of labels and probabilities, got {self.function!r}")
        if not isinstance(self.higher_is_better, bool):
            raise TypeError(f"expected higher_is_better to be True or False, got {self.higher_is_better!r}")
        if self.name is None:
            object.__setattr__(self, "name", getattr(self.function, "__name__", ""))
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ValueError(
                f"expected the metric to have a name of letters, digits and '_ .@+-', got {self.name!r}; give it one "
                'with kk.Metric(..., name="my_metric")'
            )
        if self.name in BUILT_IN or self.name == "loss":  # which has a column of its own in a run's history
            raise ValueError(f"{self.name!r} is the name of a built-in metric or loss; choose another with name=")

    def __call__(self, labels, probabilities, class_names=None):
        """Return the value as a float, NaN where the labels lack what it needs; see `kagglekit.metrics.score`."""
        lacking = self.needs(labels) if self.needs else ""
        if lacking:
            warnings.warn(
                f"{self.name} is not defined on these {len(labels)} rows and counts as NaN: {lacking}", stacklevel=3
            )
            return math.nan
        try:
            names = {"class_names": class_names} if self._takes_names else {}
            return float(self.function(labels, probabilities, **names))
        except Exception as error:
            error.add_note(
                f"It was raised by the metric {self.name!r} on {len(labels)} rows: it must return one number, and NaN "
                "where rows do not define it; kk.Metric(..., needs=...) can say what they lack"
            )
            raise

    @property
    def worst(self):
        """A value that no score is worse than: an infinity."""
        return -math.inf if self.higher_is_better else math.inf

    def better(self, new, old):
        """Return whether `new` is a better score than `old`; NaN never is, and any number is better than NaN."""
        if math.isnan(new) or math.isnan(old):
            return not math.isnan(new)
        return bool(new > old if self.higher_is_better else new < old)

    def sort(self, scores):
        """Order scores from the best to the worst; NaN comes last, ties keep their order.

        Args:
            scores: dict, Series or list of numbers.

        Returns:
            List of the dict's keys, the Series' labels or the list's positions.
        """
        pairs = list(scores.items()) if hasattr(scores, "items") else list(enumerate(scores))
        sign = -1 if self.higher_is_better else 1
        return [key for key, _ in sorted(pairs, key=lambda pair: (math.isnan(pair[1]), sign * np.nan_to_num(pair[1])))]

    def best(self, scores):
        """Return the key, label or position of the best score, the first of equal ones; see `sort`."""
        if len(scores) == 0:
            raise ValueError(f"expected at least one {self.name} to choose the best from, got none")
        return self.sort(scores)[0]

    def fits(self, task):
        """Return whether the metric is for a task (a name or a `Task`); a task names its own metrics, too."""
        task = find_task(task)
        return self.tasks is None or task.is_one_of(self.tasks) or self.name in (task.metric, task.error)

    @property
    def built_in(self):
        """Whether it is one of the kit's, which its name alone identifies."""
        return BUILT_IN.get(self.name) is self

    @property
    def key(self):
        """The metric's part of a run's hash: the name; of one of your own, direction and source as well."""
        if self.built_in:
            return self.name
        try:
            source = source_hash(self.function)
        except (OSError, TypeError):
            source = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        return [self.name, self.higher_is_better, source]

    @property
    def _takes_names(self):
        try:
            return "class_names" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # some functions written in C have no signature
            return False

    def __eq__(self, other):
        return self.name == str(other) if isinstance(other, str | Metric) else NotImplemented

    def __hash__(self):
        return hash(self.name)

    def __reduce__(self):  # a worker process gets the built-in metric itself
        return (_built_in, (self.name,)) if self.built_in else super().__reduce__()

    def __str__(self):
        return self.name

    def __repr__(self):
        return f"Metric({self.name!r}, higher_is_better={self.higher_is_better})"


def _built_in(name):
    return BUILT_IN[name]


def two_kinds(labels):
    """Say what labels lack for a ranking of rows: rows of a class (or with a label) and rows of another (or without).

    Returns:
        `""` if at least one class or label has both, else a sentence.

    Example:

    >>> two_kinds(np.array([1, 1]))
    'it needs rows of a class and rows of another'
    """
    kinds = labels if labels.ndim == 1 else labels > 0.5
    return "" if (kinds != kinds[:1]).any() else "it needs rows of a class and rows of another"
