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
import sys
import tempfile

__version__ = "0.1.0"

# Public name -> the module that holds it. `__init__.pyi` lists the same names for Tab completion and type checkers.
_MODULE_OF = {
    "Recipe": "recipe",
    "Metric": "metrics.base",
    "Competition": "competition.tables",
    "load_competition": "competition.layouts",
    "from_arrays": "competition.layouts.arrays",
    "Preset": "competition.presets",
    "PRESETS": "competition.presets",
    "quarantine": "audit.repair",
    "fill_missing": "audit.repair",
    "adversarial_validation": "audit.shift",
    "describe_data": "audit.verdict",
    "check_images": "audit.images",
    "duplicate_groups": "audit.duplicates",
    "assign_folds": "folds.assign",
    "assign_holdout": "folds.assign",
    "merge_folds": "folds.assign",
    "StratifiedFolds": "folds.splitters",
    "fold_report": "folds.report",
    "save_folds": "folds.assign",
    "load_folds": "folds.assign",
    "expand": "records.expand",
    "write_records": "records.write",
    "open_records": "records.read",
    "verify_records": "records.read",
    "train_dataset": "pipeline.datasets",
    "eval_dataset": "pipeline.datasets",
    "validation_dataset": "pipeline.datasets",
    "build_classifier": "models.heads",
    "freeze_backbone": "models.heads",
    "unfreeze_backbone": "models.heads",
    "list_backbones": "models.backbones",
    "suggest_recipe": "planning.suggest",
    "plan": "planning.cost",
    "cross_validate": "training.cross_validation",
    "cross_validate_seeds": "training.replicates",
    "refit": "training.refit",
    "Run": "runs.runs",
    "list_runs": "runs.runs",
    "best_run": "runs.runs",
    "predict": "inference.predict",
    "tune": "tuning.search",
    "read_trials": "tuning.search",
    "Predictions": "predictions.store",
    "blend": "predictions.ensemble",
    "make_submission": "predictions.submission",
    "score_submission": "predictions.scoring",
    "reference_score": "predictions.scoring",
    "reference_predictions": "predictions.scoring",
    "plot_class_counts": "reports.eda_tables",
    "plot_missing": "reports.eda_tables",
    "plot_group_sizes": "reports.eda_tables",
    "plot_metadata": "reports.eda_tables",
    "plot_image_sizes": "reports.eda_files",
    "plot_file_statistics": "reports.eda_files",
    "plot_channels": "reports.eda_files",
    "plot_shift": "reports.eda_files",
    "plot_images": "reports.eda_images",
    "plot_mean_images": "reports.eda_images",
    "plot_duplicates": "reports.eda_images",
    "plot_augmentations": "reports.augmentations",
    "plot_ops": "reports.augmentations",
    "plot_lr": "reports.training",
    "lr_find": "planning.checks",
    "sanity_checks": "planning.checks",
    "label_safety": "planning.label_safety",
    "plot_history": "reports.training",
    "plot_mistakes": "reports.predicted",
    "plot_shares": "reports.predicted",
    "plot_examples": "reports.predicted",
    "plot_trials": "reports.training",
    "export": "deploy.export",
    "check_export": "deploy.export",
}

# TensorFlow reads these when it is imported; a value that the user has set stays.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow switches oneDNN on by itself only where it finds AVX-512; with AVX2 alone (AMD) it is
# 1.5 times as fast too.
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
    """Hold back what TensorFlow's C++ code says while it is imported, and give it out if the import fails.

    It writes to file descriptor 2 before its log level is read, so only the descriptor itself can be redirected
    (TensorFlow 2.20 and 2.21: the "Could not find cuda drivers" lines come whatever TF_CPP_MIN_LOG_LEVEL says).
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:  # looks for a GPU now, which it complains about once where there is none
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
