"""The folder of a run before anything is trained: what was asked, what its bits depend on, and folds trained before."""

import datetime
import os
import platform
import shutil
from pathlib import Path

from kagglekit import _paths
from kagglekit._files import content_hash, write_json, written_whole
from kagglekit.augment import check_policy
from kagglekit.runs.runs import Run


def open_run(comp, folds, recipe, records, *, model_hash=None, parent=None, fold_numbers=None):
    """Make the folder of a run before anything is trained, or open the one of an equal run.

    Args:
        comp, folds, recipe, records: as in `kagglekit.training.cross_validation.train_on`.
        model_hash: hash of the function that builds a custom network. Defaults to the recipe's backbone.
        parent: folder of runs. Defaults to `runs` in the competition's workspace.
        fold_numbers: folds to train. Defaults to all.

    Keras's global dtype policy is part of a run's hash: under `mixed_bfloat16` the same recipe is another run.
    """
    import keras

    precision = keras.config.dtype_policy().name
    chosen_folds = sorted(int(fold) for fold in folds.unique()) if fold_numbers is None else list(fold_numbers)
    policy_ops = check_policy(recipe.policy)  # the ops behind the name of a policy may change
    run_hash = content_hash([recipe.hash, policy_ops, comp.metric.key, records.hash, model_hash, precision])
    folder = Path(parent or comp.folders.runs) / f"{recipe.name}-{content_hash([run_hash, chosen_folds])}"
    if not (folder / "run.json").is_file():
        with written_whole(folder) as temporary:
            temporary.mkdir(parents=True)
            recipe.to_yaml(temporary / "recipe.yaml")
            write_json(temporary / "environment.json", describe_environment())
            write_json(
                temporary / "run.json",
                {
                    "competition": comp.name,
                    "hash": run_hash,
                    "class_names": comp.class_names,
                    "task": str(comp.task),
                    "metric": str(comp.metric),
                    "precision": precision,
                    "folds": chosen_folds,
                    "workspace": _relative(comp.workspace, folder),
                    "records": _relative(records.folder, comp.workspace),
                    "pixels": records.hash,
                    "model": model_hash or recipe.backbone,
                },
            )
    return Run(folder, metric=comp.metric)


def _relative(path, start):
    """Return the path relative to `start`, with forward slashes; the absolute path where there is no relative one."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive of Windows
        return str(path)


def adopt_folds(comp, run):
    """Copy into a run the folds that another run of the same recipe, rows and network has finished.

    A tuning trial and a later run of its recipe have folds in common, and a fold does not depend on the others.
    """
    for path in sorted([*comp.folders.runs.glob("*/run.json"), *comp.folders.tuning.glob("*/runs/*/run.json")]):
        other = Run(path.parent)
        if other.folder == run.folder or other.info["hash"] != run.info["hash"]:
            continue
        for fold in set(other.finished_folds) & set(run.info["folds"]) - set(run.finished_folds):
            with written_whole(run.fold_folder(fold)) as folder:
                shutil.copytree(other.fold_folder(fold), folder)


def describe_environment():
    """Return what the bits of a run depend on (versions, machine, thread counts), and when it began."""
    import tensorflow as tf

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "versions": _paths.installed_versions("kagglekit", "tensorflow", "keras", "numpy"),
    }
