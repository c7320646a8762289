"""TFRecord files without TensorFlow: frames with checksums, and the message inside them.

A frame is the data's length (8 bytes), a masked CRC-32C of that, the data, and a masked CRC-32C of the data
(https://www.tensorflow.org/tutorials/load_data/tfrecord); the data is a `tf.train.Example` in protobuf's wire format.
Writing this way needs no TensorFlow in worker processes, and a damaged file can be named with its record.
"""

import struct

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DATA_AT = 12  # bytes of a frame before its data
FRAME_BYTES = 16  # bytes of a frame beside its data
_LISTS = {"bytes_list": bytes, "int64_list": int, "float_list": float}
_LARGEST = 2**31  # bytes of a record; protobuf's limit


def masked_crc(data):
    """CRC-32C, rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data):
    """Return the bytes of a record as a file stores them: data with length and checksums."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


def read_frames(file, name):
    """Yield `(offset of the frame, data)` of every record of an open binary file.

    Raises:
        ValueError: naming the file, the record's number and its offset, where a checksum is wrong or the file ends
            within a record.
    """
    start, number = 0, 0
    while head := file.read(DATA_AT):
        data = tail = b""
        valid = len(head) == DATA_AT and struct.unpack("<I", head[8:])[0] == masked_crc(head[:8])
        if valid and (size := struct.unpack("<Q", head[:8])[0]) < _LARGEST:
            data, tail = file.read(size), file.read(4)
        if len(tail) < 4 or struct.unpack("<I", tail)[0] != masked_crc(data):
            raise ValueError(f"{name}: record {number} at byte {start} is damaged")
        yield start, data
        start, number = start + FRAME_BYTES + len(data), number + 1


def make_example(values):
    """Return the message of a dict of name -> bytes, integer, float, or a list of one of them."""
    example = Example()
    for name, value in values.items():
        value = value if isinstance(value, list) else [value]
        feature = example.features.feature[name]
        kind = next(kind for kind, type_ in _LISTS.items() if isinstance(value[0], type_))
        getattr(feature, kind).value.extend(value)
    return example.SerializeToString(deterministic=True)


def _example_class():
    """The message `tf.train.Example`, described here so that no TensorFlow is needed.

    Fields and numbers: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
    """
    file = descriptor_pb2.FileDescriptorProto(name="kagglekit_example.proto", package="kagglekit", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def add(name, *fields, parent=None):
        described = (parent.nested_type if parent else file.message_type).add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, 1):
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            entry = described.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".kagglekit.{kind}"
            else:
                entry.type = kind
        return described

    add("BytesList", ("value", kinds.TYPE_BYTES, True))
    add("FloatList", ("value", kinds.TYPE_FLOAT, True))
    add("Int64List", ("value", kinds.TYPE_INT64, True))
    lists = (("bytes_list", "BytesList", False), ("float_list", "FloatList", False), ("int64_list", "Int64List", False))
    add("Feature", *lists)
    features = add("Features", ("feature", "Features.FeatureEntry", True))
    entry = add("FeatureEntry", ("key", kinds.TYPE_STRING, False), ("value", "Feature", False), parent=features)
    entry.options.map_entry = True
    add("Example", ("features", "Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("kagglekit.Example"))


Example = _example_class()
