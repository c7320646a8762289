"""The progress of training: a bar and a title that code inside a block updates without being passed them."""

import contextlib
import contextvars

from tqdm.auto import tqdm

_bar = contextvars.ContextVar("bar", default=None)
_title = contextvars.ContextVar("title", default="")


@contextlib.contextmanager
def progress_bar(total, unit="step"):
    """Show a bar while the block runs; `describe`, `advance` and `say` inside it use this bar.

    Args:
        total: number of steps.
        unit: name of a step.
    """
    with tqdm(total=total, unit=unit) as bar:
        token = _bar.set(bar)
        try:
            yield
        finally:
            _bar.reset(token)


@contextlib.contextmanager
def titled(title):
    """Set the title of the block for bars and errors, such as `"fold 1 of 5"`."""
    token = _title.set(title)
    try:
        yield
    finally:
        _title.reset(token)


def title(*details):
    """Return the title with details: `"fold 1 of 5, fine-tuning"`."""
    return ", ".join(filter(None, [_title.get(), *details]))


def describe(*details):
    """Write the title and details in front of the bar."""
    if _bar.get():
        _bar.get().set_description(title(*details))


def advance(steps=1, **numbers):
    """Move the bar on by some steps, and show numbers such as `loss="0.123"` after it."""
    if _bar.get():
        _bar.get().update(steps)
        if numbers:
            _bar.get().set_postfix(numbers, refresh=False)


def say(line):
    """Write a line that stays, above the bar if there is one."""
    tqdm.write(line)
