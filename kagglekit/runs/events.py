"""A history as an event file, which `tensorboard --logdir` finds beside `history.csv`."""

import time

import numpy as np
import tensorflow as tf

from kagglekit._tfrecord import frame

EVENTS = "events.out.tfevents"  # TensorBoard reads the files whose names contain "tfevents"


def write_events(path, history):
    """Write the numbers of a history as TensorBoard's scalars, with the epoch as their step.

    Done once, from the finished table, so that a fold that was interrupted and resumed has one curve without
    repeated steps. The wall-clock times of the events follow from the epochs' `seconds`.

    Args:
        path: the file.
        history: DataFrame with a row per epoch: `epoch` (from 1), `seconds` and any other numbers; NaN is left out.

    Raises:
        OSError: if the file cannot be written.

    Reference:
        https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto
        https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/summary.proto
    """
    numbers = history.select_dtypes("number").drop(columns=["fold", "epoch"], errors="ignore")
    end_times = time.time() - history["seconds"].sum() + history["seconds"].cumsum()
    start_time = float(end_times.iloc[0] - history["seconds"].iloc[0])
    events = [tf.compat.v1.Event(wall_time=start_time, file_version="brain.Event:2")]
    for end_time, epoch, row in zip(end_times, history["epoch"], numbers.to_dict("records"), strict=True):
        values = [
            tf.compat.v1.Summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if np.isfinite(value)
        ]
        events.append(tf.compat.v1.Event(wall_time=end_time, step=epoch, summary=tf.compat.v1.Summary(value=values)))
    path.write_bytes(b"".join(frame(event.SerializeToString()) for event in events))
