"""Folds on a Dask cluster, whose workers have threads of their own, end with the bits of this process."""

import os
import subprocess
import sys

import pytest

# A file of its own: the cluster's processes import it again
RUN = """
import contextlib, joblib, sys
import kagglekit as kk

def own(classes, recipe):
    import random, threading
    import keras
    inputs = keras.Input((recipe.image_size, recipe.image_size, recipe.channels))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(inputs)))
    thread = threading.Thread(target=lambda: [random.random() for _ in range(len(threading.enumerate()))])
    thread.start()
    thread.join()
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))

def main():
    comp = kk.load_competition("digits")
    comp = kk.Competition("some", comp.root, comp.train.iloc[:240].reset_index(drop=True), comp.test[:0])
    recipe = kk.Recipe(
        backbone="small_cnn", weights=None, image_size=8, channels=1, record_size=16, frozen_epochs=0, epochs=2
    )
    folds = [row % 2 for row in range(len(comp.train))]
    with contextlib.ExitStack() as stack:
        if sys.argv[1] == "dask":
            from distributed import Client, LocalCluster
            cluster = LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None, host="127.0.0.1")
            stack.enter_context(Client(stack.enter_context(cluster)))
            stack.enter_context(joblib.parallel_config("dask"))
        for build_model in (None, own):
            print("run", kk.cross_validate(comp, folds, recipe, build_model=build_model).folder)

if __name__ == "__main__":
    main()
"""


def folds_of(folder, how):
    """The bytes of the out-of-fold files of a run of the recipe's network and of one of one's own."""
    folder.mkdir()
    (folder / "script.py").write_text(RUN)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()])]
    environment = os.environ | {"KAGGLEKIT_WORKSPACE": str(folder / "work"), "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(folder / "script.py"), how]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    runs = [line.removeprefix("run ") for line in done.stdout.splitlines() if line.startswith("run ")]
    return [open(f"{run}/fold{fold}/oof.npz", "rb").read() for run in runs for fold in range(2)]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_bits_of_this_process(tmp_path):
    alone = folds_of(tmp_path / "alone", "alone")
    assert len(set(alone)) == 4
    assert folds_of(tmp_path / "cluster", "dask") == alone
