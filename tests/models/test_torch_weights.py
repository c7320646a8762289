"""The reader of PyTorch files: tensors come out as torch wrote them, everything else is refused and does nothing."""

import collections
import io
import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest

from kagglekit.models.torch_weights import read_state_dict

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
HEAD = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001})


class Storage:
    def __init__(self, key, kind, values):
        self.key, self.kind, self.values = key, kind, np.asarray(values, STORAGES[kind])


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.parts = storage, offset, shape, strides

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (*self.parts, False, collections.OrderedDict())


@pytest.fixture
def pickled(monkeypatch):
    """`pickled(thing)` -> bytes, with torch's names in it as torch's own pickler writes them, but without torch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in STORAGES:
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))
    utils._rebuild_tensor_v2 = types.FunctionType((lambda *_: None).__code__, {}, "_rebuild_tensor_v2")
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, Storage):
                return "storage", getattr(torch, thing.kind), thing.key, "cpu", len(thing.values), None
            return None

    def pickled(thing):
        stored = io.BytesIO()
        Pickler(stored, 2).dump(thing)
        return stored.getvalue()

    return pickled


@pytest.fixture
def write(tmp_path, pickled):
    """`write(tensors)` writes a file in the legacy form, as `_legacy_save` in torch/serialization.py does."""

    def write(tensors, head=HEAD):
        storages = {tensor.parts[0].key: tensor.parts[0] for tensor in tensors.values()}
        content = b"".join(pickled(part) for part in (*head, collections.OrderedDict(tensors), sorted(storages)))
        for key in sorted(storages):
            content += struct.pack("<q", len(storages[key].values)) + storages[key].values.tobytes()
        (tmp_path / "weights.pth").write_bytes(content)
        return tmp_path / "weights.pth"

    return write


@pytest.fixture
def two(write):
    """A good file of two tensors."""
    kernel = Tensor(Storage("10", "FloatStorage", range(6)), 0, (2, 3), (3, 1))
    return write({"kernel": kernel, "steps": Tensor(Storage("9", "LongStorage", [7]), 0, (), ())})


@pytest.mark.parametrize(("kind", "dtype"), STORAGES.items())
def test_every_number_type_comes_back_with_its_values(write, kind, dtype):
    values = [-3, 0, 1, 2, 5, 100]
    (result,) = read_state_dict(write({"a": Tensor(Storage("1", kind, values), 0, (2, 3), (3, 1))})).values()
    assert result.dtype == np.dtype(dtype)
    assert result.tolist() == [[-3, 0, 1], [2, 5, 100]]


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (0, (3, 4), (4, 1), np.arange(12).reshape(3, 4)),
        (0, (4, 3), (1, 4), np.arange(12).reshape(3, 4).T),  # tensor.T
        (5, (3,), (1,), [5, 6, 7]),  # a slice
        (1, (3, 2), (4, 2), [[1, 3], [5, 7], [9, 11]]),  # every second column
        (0, (2, 3, 2), (1, 4, 2), np.arange(12).reshape(3, 2, 2).transpose(2, 0, 1)),
        (11, (), (), 11),
        (4, (3, 1), (0, 1), [[4], [4], [4]]),  # expanded
        (0, (0, 4), (4, 1), np.zeros((0, 4))),
    ],
)
def test_strides_and_offsets_are_followed_as_numpy_does(write, offset, shape, strides, expected):
    result = read_state_dict(write({"a": Tensor(Storage("1", "FloatStorage", range(12)), offset, shape, strides)}))["a"]
    np.testing.assert_array_equal(result, expected)
    assert result.shape == shape
    assert result.flags.c_contiguous
    assert result.flags.writeable


def test_tensors_may_share_a_storage_and_keep_the_order_of_the_file(write):
    shared = Storage("5", "FloatStorage", range(4))
    tensors = read_state_dict(write({"z": Tensor(shared, 2, (2,), (1,)), "a": Tensor(shared, 0, (2,), (1,))}))
    assert [(name, tensor.tolist()) for name, tensor in tensors.items()] == [("z", [2, 3]), ("a", [0, 1])]


def test_every_cut_through_a_file_is_noticed(two):
    content = two.read_bytes()
    assert list(read_state_dict(two)) == ["kernel", "steps"]
    for length in range(len(content)):
        two.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"weights\.pth"):
            read_state_dict(two)


def test_random_damage_raises_value_error_alone(two):
    content, rng, outcomes = two.read_bytes(), np.random.default_rng(0), set()
    for _ in range(1500):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        two.write_bytes(damaged)
        try:
            outcomes.add(type(read_state_dict(two)))
        except ValueError as error:
            assert "weights.pth" in str(error)  # noqa: PT017 - either outcome is right
            outcomes.add(ValueError)
    assert outcomes <= {dict, ValueError}


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(60), pickle.dumps([1, 2])])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"weights\.pth (is not a PyTorch state dict in the legacy format|cannot be read as)"
    ):
        read_state_dict(tmp_path / "weights.pth")


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("function", [os.system, eval, __import__, getattr])
def test_a_hostile_pickle_raises_and_does_not_run(tmp_path, pickled, place, function):
    marker = tmp_path / "ran"
    arguments = {os.system: [f"touch {marker}"], eval: [f"open({str(marker)!r}, 'w')"]}
    parts = [pickled(part) for part in (*HEAD, {}, [])]
    parts[place] = pickled(Hostile(function, *arguments.get(function, [])))
    (tmp_path / "weights.pth").write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match=rf"it asks for \w+\.{function.__name__}, which is not part of a tensor"):
        read_state_dict(tmp_path / "weights.pth")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "FloatStorage.__init__", "_utils._rebuild_tensor_v2"])
def test_names_that_lead_on_through_torch_are_refused(tmp_path, pickled, name):
    call = pickle.PROTO + b"\x02" + pickle.GLOBAL + f"torch\n{name}\n".encode() + pickle.STOP
    (tmp_path / "weights.pth").write_bytes(b"".join([*map(pickled, HEAD), call]))
    with pytest.raises(ValueError, match=rf"it asks for torch\.{name}, which is not part of a tensor"):
        read_state_dict(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (3, (2,), (1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (4, 1)),
        (3, (4,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2, 2), (1,)),
        (0, ("x",), (1,)),
        (0, (10**9, 10**9), (0, 0)),
    ],
)
def test_a_tensor_that_is_not_within_its_storage_is_refused(write, offset, shape, strides):
    path = write({"a": Tensor(Storage("1", "FloatStorage", range(4)), offset, shape, strides)})
    with pytest.raises(ValueError, match=r"weights\.pth"):
        read_state_dict(path)


@pytest.mark.parametrize("count", [-1, 10**15, 2**62])
def test_a_storage_of_an_impossible_size_is_refused(write, count):
    path = write({"a": Tensor(Storage("1", "FloatStorage", range(4)), 0, (4,), (1,))})
    content = path.read_bytes()
    announced = b"K\x04N"  # BININT1 4 in the storage's description, before its view, None
    assert announced in content
    longer = pickle.dumps(count, 2)[2:-1] + b"N"
    path.write_bytes(content[:-24].replace(announced, longer) + struct.pack("<q", count) + content[-16:])
    with pytest.raises(ValueError, match=r"weights\.pth"):
        read_state_dict(path)
