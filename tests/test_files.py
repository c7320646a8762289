"""Files are whole or absent; equal content has equal names; errors say what and how."""

import json
import os
from functools import partial

import pytest

from kagglekit import _checks
from kagglekit._files import content_hash, read_json, source_hash, write_json, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "er" / "a.csv"
    with written_whole(target) as temporary:
        assert temporary.parent == target.parent  # the same file system, so that renaming is atomic
        assert temporary.suffix == ".csv"
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, "old"])
def test_failing_block_leaves_what_was_there(tmp_path, before, error):
    target = tmp_path / "a.csv"
    if before:
        target.write_text(before)

    def fail():
        with written_whole(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["a.csv"] if before else [])
    assert not before or target.read_text() == before


def test_reader_in_the_middle_sees_the_old_content(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with written_whole(target) as temporary:
        temporary.write_text("half")
        assert target.read_text() == "old"
    assert target.read_text() == "half"


@pytest.mark.parametrize("fails", [False, True])
def test_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path, fails):
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").touch()

    def write():
        with written_whole(target) as temporary:
            temporary.mkdir()
            (temporary / "new").touch()
            if fails:
                raise OSError("disk full")

    if fails:
        with pytest.raises(OSError, match="disk full"):
            write()
    else:
        write()
    assert names(target) == (["old"] if fails else ["new"])
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_remains_of_a_killed_process_are_swept_away(tmp_path, kind):
    remains = tmp_path / f".a.{os.getpid()}.partial.txt"
    if kind == "file":
        remains.write_text("half")
    else:
        (remains / "half").mkdir(parents=True)
    with written_whole(tmp_path / "a.txt") as temporary:
        assert temporary == remains
        temporary.write_text("whole")
    assert names(tmp_path) == ["a.txt"]


def test_json_round_trip_keeps_text_and_failure_keeps_the_file(tmp_path):
    path, content = tmp_path / "a.json", {"ä": [1, 0.1, None, True], "ids": ["00012", "NA"]}
    write_json(path, content)
    assert read_json(path) == content
    assert "ä" in path.read_text(encoding="utf-8")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": {1, 2}})
    assert read_json(path) == content
    assert names(tmp_path) == ["a.json"]


def test_hash_is_of_content_and_not_of_order():
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash([1, 2]) != content_hash([2, 1])
    assert content_hash({"id": "00012"}) != content_hash({"id": "12"}) != content_hash({"id": 12})
    # Names on disk outlive the process: what `printf '{"a": 1}' | sha256sum` prints.
    assert content_hash({"a": 1}, 12) == "f9d86028c6e0"
    assert content_hash(json.loads('{"a": 1}')) == "f9d86028"


def test_nearest_name_is_offered_where_one_is_near():
    assert _checks.nearest("acuracy", ["log_loss", "accuracy"]) == " Did you mean 'accuracy'?"
    assert _checks.nearest("xyz", ["log_loss", "accuracy"]) == ""
    with pytest.raises(ValueError, match=r"expected n to be one of 1, 3, got 2.$"):
        _checks.check_choice("n", 2, (1, 3))
    _checks.check_choice("n", 3, (1, 3))


def test_long_lists_are_cut_with_their_number():
    assert _checks.first_few([]) == ""
    assert _checks.first_few("abcde") == "'a', 'b', 'c', 'd', 'e'"
    assert _checks.first_few("abcdefg") == "'a', 'b', 'c', 'd', 'e' and 2 more"


def test_copies_are_named_once_each():
    _checks.check_unique("id", ["a", "b"])
    with pytest.raises(ValueError, match="every id once, but 'b', 'a' occur more than once; remove the copies"):
        _checks.check_unique("id", ["a", "b", "b", "b", "a"])


def test_a_functions_source_names_it_with_the_arguments_that_a_partial_holds():
    def add(a, b=1):
        return a + b

    keys = {source_hash(function) for function in (add, partial(add, b=1), partial(add, b=2), names)}
    assert len(keys) == 4
    assert source_hash(partial(add, b=2)) in keys
    for unreadable in (max, partial(max, 1), object()):
        with pytest.raises((OSError, TypeError)):
            source_hash(unreadable)
