"""Bytes to batches: TFRecord shards, tf.data pipelines, augmentation and test-time views."""
