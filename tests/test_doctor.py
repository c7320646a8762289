"""The doctor names what would stop a run, and what to do."""

import subprocess
import sys

import pytest

from kagglekit.doctor import gpu_finding


@pytest.mark.parametrize(
    ("name", "capability", "mark"),
    [("Tesla P100-PCIE-16GB", (6, 0), "!!"), ("Tesla T4", (7, 5), "ok"), ("NVIDIA L4", (8, 9), "ok")],
)
def test_a_gpu_that_cudnn_dropped_is_told_apart(name, capability, mark):
    found, topic, text = gpu_finding(name, capability)
    assert (found, topic) == (mark, "GPU")
    assert ("choose T4" in text) == (mark == "!!")


@pytest.mark.parametrize(("backend", "mark"), [("tensorflow", "!!"), ("jax", "ok")])
def test_a_tpu_needs_the_jax_backend(backend, mark):
    code = "from kagglekit.doctor import _accelerators; print(next(iter(_accelerators())))"
    environment = {"ISTPUVM": "1", "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"('{mark}', 'TPU'")
    assert ("set KERAS_BACKEND=jax" in done.stdout) == (mark == "!!")
