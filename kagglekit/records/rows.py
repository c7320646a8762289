"""Reading any row of a set of shards by its number: by offset, and compared with its checksum each time."""

import contextlib

import google_crc32c


class RowReader:
    """Reads encoded images of some parts of records.

    A TFRecord file alone can only be read from front to back; its sidecar says where each image is. So a shuffled epoch
    is a list of row numbers, and a damaged record is reported with its file and row, which TensorFlow's reader does not
    name. Threads may share a reader.

    Args:
        records: `Records`.
        parts: a fold's number, a list of them, or `"test"`.

    Attributes:
        index: columns of `Records.index`, a dict of arrays.

    Raises:
        ValueError: if a shard is missing or cut.
    """

    def __init__(self, records, parts):
        self._files = records.files(parts)
        self.index = records.index(parts)
        self.index["label"] = records.task.as_labels(self.index["label"])
        names = ("shard", "record", "begin", "end", "crc", "at", "length")
        self._locations = tuple(self.index.pop(name) for name in names)

    def __len__(self):
        return len(self.index["row"])

    def shape(self, number):
        """Return the stored `(height, width)` of a row."""
        return int(self.index["height"][number]), int(self.index["width"][number])

    def read(self, numbers):
        """Yield the encoded planes of some rows, a list of memoryviews for each.

        Raises:
            ValueError: naming file, record and image where the bytes are not those that were written.
        """
        shards, records, begins, ends, crcs, offsets, lengths = (column[numbers].tolist() for column in self._locations)
        with contextlib.ExitStack() as stack:
            opened = file = None
            for i, shard in enumerate(shards):
                if shard != opened:
                    stack.close()
                    opened, file = shard, stack.enter_context(open(self._files[shard], "rb", buffering=0))
                file.seek(begins[i])
                content = file.read(ends[i] - begins[i])
                if google_crc32c.value(content) != crcs[i]:
                    raise ValueError(
                        f"{self._files[shard]}, record {records[i]} ({str(self.index['image_id'][numbers[i]])!r}): its "
                        "bytes have changed; delete the file and call kk.write_records again"
                    )
                view = memoryview(content)
                starts = [at - begins[i] for at in offsets[i]]
                yield [view[start : start + size] for start, size in zip(starts, lengths[i], strict=True)]
