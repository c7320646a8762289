"""kagglekit: from an image-classification competition's raw files to a validated submission.

Names are loaded when they are first used, so that `import kagglekit` costs nothing and needs no framework:

>>> import kagglekit as kk
>>> comp = kk.load_competition("digits")
>>> len(comp.train), len(comp.test)
(1437, 360)
"""

import contextlib
import importlib
import os
import re
import sys
import tempfile
from pathlib import Path

__version__ = "0.1.0"

# Public name -> the module that holds it. The package lazy-loader reads a stub too, as fast (`import kagglekit`
# takes 40 to 50 ms with either), but it sorts `__all__`, and its `__getattr__` would have to be wrapped for the quiet
# start and the nearest name: as many lines as are here, and one more dependency.
_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_MODULE_OF = {
    name: module for module, name in re.findall(r"^from kagglekit\.(\S+) import (\w+) as", _STUB, re.MULTILINE)
}

# TensorFlow reads these when it is imported; values that the user has set are kept.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow enables oneDNN on its own only where it finds AVX-512; with AVX2 alone (AMD) it is
# 1.5 times as fast as well.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__all__ = list(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        from kagglekit._checks import nearest

        raise AttributeError(f"kagglekit has no name {name!r}.{nearest(name, _MODULE_OF)}")
    with _quiet_start():
        module = importlib.import_module(f"kagglekit.{_MODULE_OF[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__():
    return sorted([*globals(), *_MODULE_OF])


@contextlib.contextmanager
def _quiet_start():
    """Silence what TensorFlow's C++ code prints while it is imported; print it if the import fails.

    It writes to file descriptor 2 before its log level is read, so only the descriptor itself can be redirected
    (TensorFlow 2.20 and 2.21: the "Could not find cuda drivers" lines come whatever TF_CPP_MIN_LOG_LEVEL says).
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    stderr_copy = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:  # looks for a GPU now: where there is none it complains once
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            captured.seek(0)
            os.write(stderr_copy, captured.read())
            raise
        finally:
            os.dup2(stderr_copy, 2)
            os.close(stderr_copy)
