"""Any row of a set of shards, by its number: read by offset, and compared with its checksum each time."""

import contextlib

import google_crc32c


class RowReader:
    """Reads encoded images of some parts of records.

    TFRecord files can be read from front to back alone, but for their sidecars, which know where each image stands.
    So a shuffled epoch is a list of numbers, and TensorFlow, which names neither file nor row of a damaged record, is
    not asked. Threads may share a reader.

    Args:
        records: `Records`.
        parts: a fold's number, a list of them, or `"test"`.

    Attributes:
        index: what `Records.index` says of each row, a dict of arrays.

    Raises:
        ValueError: if a shard is missing or cut.
    """

    def __init__(self, records, parts):
        self._files = records.files(parts)
        self.index = records.index(parts)
        self.index["label"] = records.task.as_labels(self.index["label"])
        names = ("shard", "record", "begin", "end", "crc", "at", "length")
        self._where = tuple(self.index.pop(name) for name in names)

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
        shards, records, begins, ends, crcs, offsets, lengths = (column[numbers].tolist() for column in self._where)
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
