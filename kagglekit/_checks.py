"""Shared wording of errors: what happened, what was expected, how to fix it."""

import difflib
import numbers


def nearest(name, choices):
    """Return `" Did you mean 'x'?"` for the choice that is spelt most like `name`, or an empty string."""
    close = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_choice(argument, value, choices):
    """Raise `ValueError` with the nearest name unless `value` is one of `choices`."""
    if value not in list(choices):  # a list, since the value may not be hashable
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"expected {argument} to be one of {allowed}, got {value!r}.{nearest(value, choices)}")


def check_whole(argument, value, least):
    """Raise `ValueError` unless `value` is a whole number (of Python or numpy, not 2.0 or True) of `least` or more."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"expected {argument} to be a whole number of {least} or more, got {value!r}")


def first_few(items, most=5):
    """Return the first items as text, with how many more there are: `'a', 'b', 'c' and 4 more`."""
    items = list(items)
    shown = ", ".join(repr(str(item)) for item in items[:most])
    return shown + (f" and {len(items) - most} more" if len(items) > most else "")


def check_unique(what, ids):
    """Raise `ValueError` that names the first ids which occur more than once."""
    unique, repeated = set(), {}
    for identifier in ids:
        if identifier in unique:
            repeated[identifier] = None
        unique.add(identifier)
    if repeated:
        raise ValueError(
            f"expected every {what} once, but {first_few(repeated)} occur more than once; remove the copies"
        )
