"""TFRecord shards, one set per fold."""
