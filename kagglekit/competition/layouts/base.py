"""A layout: the form in which an organiser publishes files."""

from collections.abc import Callable
from typing import NamedTuple


class Layout(NamedTuple):
    """When a folder has this form, and how it is read. A new one is an entry of `layouts.LAYOUTS`.

    Args:
        recognises: function `(folder, preset)` that returns whether the folder has this form.
        read: function `(folder, preset)` that returns its `Competition`.
        looks_like: what it is recognised by, for the error where no layout fits.
        unused: names of the preset's choices that it cannot follow. Making one of them is an error: groups that are
            silently not kept together would be a leak.
    """

    recognises: Callable
    read: Callable
    looks_like: str
    unused: tuple = ()
