"""Event files hold what the history holds, in the form that TensorBoard reads."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kagglekit.runs.events import write_events


def read(path):
    """TensorFlow's own reader and messages; it checks the checksums."""
    return [tf.compat.v1.Event.FromString(data.numpy()) for data in tf.data.TFRecordDataset(str(path))]


def test_a_folds_event_file_holds_its_history(quick_run):
    for fold in range(3):
        folder = quick_run.fold_folder(fold)
        version, *events = read(folder / "events.out.tfevents")
        assert version.file_version == "brain.Event:2"
        history = pd.read_csv(folder / "history.csv")
        assert [event.step for event in events] == history["epoch"].tolist() == [1, 2, 3]
        found = pd.DataFrame([{value.tag: value.simple_value for value in event.summary.value} for event in events])
        assert {"loss", "held_out_loss", "held_out_accuracy", "learning_rate", "seconds"} <= set(found)
        for name in found:
            np.testing.assert_allclose(found[name], history[name], rtol=1e-6)  # float32
        times = np.array([version.wall_time, *(event.wall_time for event in events)])
        np.testing.assert_allclose(np.diff(times), history["seconds"], atol=1e-3)


def test_numbers_that_an_epoch_lacks_are_left_out(tmp_path):
    lacking = {"stage": ["frozen", "fine-tuning"], "epoch": [1, 2], "accuracy": [np.nan, 0.5], "seconds": [1.0, 2.0]}
    write_events(tmp_path / "tfevents", pd.DataFrame(lacking))
    tags = [[value.tag for value in event.summary.value] for event in read(tmp_path / "tfevents")]
    assert tags == [[], ["seconds"], ["accuracy", "seconds"]]


def test_an_event_file_that_cannot_be_written_is_an_operating_system_error(tmp_path):
    with pytest.raises(OSError, match="No such file or directory"):
        write_events(tmp_path / "missing" / "tfevents", pd.DataFrame({"epoch": [1], "seconds": [1.0]}))
