"""The contracts of losses and optimisers on JAX, which drives Kaggle's TPUs, in a process of its own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTRACTS = ["test_loss_contracts.py", "test_optimizer_contracts.py"]


def run_on_jax(*options):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed; `pip install kagglekit[test]` brings it")
    here = Path(__file__).parent
    files = [str(here / name) for name in CONTRACTS]
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *files]
    done = subprocess.run(command, cwd=here.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_contracts_of_a_few_losses_and_optimizers_hold_on_jax():
    some = "finite_differences and (asymmetric or sparsemax)"
    run_on_jax("-k", f"({some}) or (configuration and radam) or (file and soft_f1)")


@pytest.mark.slow
def test_all_contracts_hold_on_jax():
    run_on_jax("-m", "slow or not slow")
