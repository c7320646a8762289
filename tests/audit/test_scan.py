"""Every image is decoded once: later steps and later processes get what was found, unless files changed."""

import dataclasses
import hashlib
import json
import os
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import write_photo
from PIL import Image

import kagglekit as kk
from kagglekit.audit import facts, scan, similarity
from kagglekit.competition.sources import read_pixels

PHOTOS = [f"{number:05d}" for number in range(12)]


@pytest.fixture
def comp(make_competition, workspace):
    return kk.load_competition(make_competition(ids=PHOTOS, labels=["cat", "dog", "owl"] * 4))


@pytest.fixture
def forget(monkeypatch):
    """Return a function after which this process knows no more than a new one."""
    return lambda: monkeypatch.setattr(scan, "_latest", (None, {}))


def garble(comp):
    """Overwrite all images with zeros; size and time of each file stay, so that only opening one would tell."""
    for path in comp.root.glob("t*/*.*"):
        before = path.stat()
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        for name, value, wanted in zip(facts.Facts._fields, one, other, strict=True):
            assert type(value) is type(wanted), (row, name)
            assert np.array_equal(value, wanted), (row, name)
            assert getattr(value, "dtype", None) == getattr(wanted, "dtype", None), (row, name)


def findings(comp):
    """Return all that the audit says of a competition."""
    report = kk.check_images(comp)
    groups = kk.duplicate_groups(comp)
    verdict = kk.describe_data(comp, report, groups)
    means = [ax.images[0].get_array().tolist() for ax in kk.plot_mean_images(comp)]
    return report, groups, groups.attrs, verdict, verdict.attrs, kk.suggest_recipe(comp), means


def test_a_scanned_image_is_not_opened_again_by_any_step(comp, forget):
    (comp.root / "train" / "00004.jpg").write_bytes((comp.root / "train" / "00001.jpg").read_bytes())
    expected = findings(comp)
    assert expected[2]["duplicates"] == [["00001", "00004"]]
    garble(comp)
    for _ in range(2):
        for found, wanted in zip(findings(comp), expected, strict=True):
            assert found.equals(wanted) if isinstance(found, (pd.DataFrame, pd.Series)) else found == wanted
        forget()  # and neither in a later process


def test_a_check_alone_is_enough_for_all_that_follows(comp):
    kk.check_images(comp)
    garble(comp)
    assert kk.duplicate_groups(comp).nunique() == 12
    assert all(ax.images for ax in kk.plot_mean_images(comp))


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_decoded_again_and_only_that(comp, change):
    kk.check_images(comp)
    garble(comp)
    path = comp.root / "train" / "00003.jpg"
    if change == "size":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        os.utime(path)
    report = kk.check_images(comp)
    assert report.loc[report["problem"] != "", "image_id"].tolist() == ["00003"]


def test_a_file_that_goes_and_comes_back_is_seen_to(comp):
    path = comp.root / "train" / "00003.jpg"
    before, content = kk.check_images(comp), path.read_bytes()
    path.unlink()
    assert kk.check_images(comp)["problem"][3].startswith("unreadable: [Errno 2]")
    path.write_bytes(content)
    pd.testing.assert_frame_equal(kk.check_images(comp), before)


def test_fewer_rows_other_rows_and_more_rows_find_their_images(comp, forget):
    everything = scan.scan(comp)
    garble(comp)
    forget()
    fewer = dataclasses.replace(comp, train=comp.train.iloc[[5, 2, 2, 9, 0, 1]].assign(image_id=list("abcdef")))
    assert_equal(scan.scan(fewer), [everything[row] for row in (5, 2, 2, 9, 0, 1, 12, 13, 14)])
    write_photo(comp.root / "train" / "new.png", 99)
    train = pd.concat([comp.train, comp.train.iloc[:1].assign(image_id="new", source="train/new.png")])
    found = scan.scan(dataclasses.replace(comp, train=train.reset_index(drop=True)))
    assert_equal(found[:12] + found[13:], everything)
    assert found[12].problem == ""
    assert_equal(scan.cached_facts(comp, ["train/new.png", "train/00000.jpg"]), [found[12], found[0]])


def test_unknown_images_are_none_and_are_not_decoded(comp):
    assert scan.cached_facts(comp, ["train/00000.jpg", "train/nowhere.jpg"]) == [None, None]
    assert not (comp.workspace / "scan.npz").exists()


def test_folders_of_one_name_do_not_answer_for_each_other(comp, tmp_path):
    expected = scan.scan(comp)
    garble(comp)
    other = tmp_path / "other" / "competition"
    comp.root.rename(tmp_path / "gone")
    other.parent.mkdir()
    (tmp_path / "gone").rename(other)  # the same sizes and times
    assert all(each.problem.startswith("unreadable") for each in scan.scan(dataclasses.replace(comp, root=other)))
    other.rename(comp.root)
    assert_equal(scan.scan(comp), expected)


def odd_images(folder):
    """Write an image of every kind that is told apart; return the sources."""
    train = folder / "train"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(48 * 40, dtype=np.uint16).reshape(40, 48) * 20).save(train / "deep.png")
    photo = Image.open(train / "00000.jpg")
    photo.save(train / "turned.jpg", exif=exif)
    photo.convert("L").save(train / "grey.jpg")
    photo.convert("P").save(train / "palette.gif")
    photo.resize((20, 9)).save(train / "tiny.png")
    Image.fromarray(np.dstack([np.asarray(photo), np.full((40, 48), 100, np.uint8)])).save(train / "alpha.png")
    (train / "broken.jpg").write_bytes((train / "00001.jpg").read_bytes()[:-40])
    content = bytearray((train / "alpha.png").read_bytes())
    content[-16] ^= 1  # a checksum
    (train / "checksum.png").write_bytes(content)
    whole = (train / "00002.jpg").read_bytes()
    (train / "container.bin").write_bytes(b"head" + whole + b"tail")
    (train / "pixels.csv").write_bytes(b"id,pixels\n" + b",".join(b"%d" % (n % 256) for n in range(12)) + b"\n")
    names = ["deep.png", "turned.jpg", "grey.jpg", "palette.gif", "tiny.png", "alpha.png", "broken.jpg", "checksum.png"]
    return [
        *(f"train/{name}" for name in names), f"train/container.bin@4+{len(whole)}", "train/pixels.csv@10+25#3x4x1",
        ("train/00000.jpg", "train/00001.jpg"), ("train/00000.jpg",), ("train/00000.jpg", "train/tiny.png"), "nowhere",
    ]  # fmt: skip


def test_every_kind_of_image_comes_back_from_the_cache_as_it_was(comp, forget):
    images = odd_images(comp.root)
    decoded = [facts.image_facts(comp.root, image) for image in images]
    whole = facts.image_facts(comp.root, "train/00002.jpg")
    assert_equal(scan.scan(comp, images), decoded)
    forget()
    assert_equal(scan.scan(comp, images), decoded)
    garble(comp)
    assert_equal(scan.scan(comp, images), decoded)  # the missing one included
    assert [each.problem for each in decoded if each.problem.startswith("unreadable")] == [
        decoded[6].problem, decoded[7].problem, "unreadable: parts of different sizes: 48x40, 20x9", decoded[13].problem
    ]  # fmt: skip
    assert decoded[7].error == ""  # its pixels can be decoded
    assert decoded[7].pixel_hash == decoded[5].pixel_hash
    assert decoded[8].pixel_hash == whole.pixel_hash
    assert [each.colours.shape[-1] for each in decoded] == [1, 3, 1, 3, 3, 3, 0, 3, 3, 1, 2, 1, 0, 0]
    assert [len(each.greys) for each in decoded] == [3, 3, 3, 3, 0, 3, 0, 3, 3, 0, 3, 3, 0, 0]


def test_digest_and_colours_are_those_of_the_upright_pixels(comp):
    images = odd_images(comp.root)
    for image in (images[1], "train/00005.jpg"):
        pixels, found = read_pixels(comp.root, image), facts.image_facts(comp.root, image)
        size = pixels.shape[1::-1]
        assert found.pixel_hash == hashlib.sha256(repr(("RGB", size)).encode() + pixels.tobytes()).hexdigest()
        boxed = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BOX)
        assert np.abs(found.colours.astype(int) - np.asarray(boxed)).max() <= 1


def test_greys_are_those_that_near_duplicates_are_confirmed_on(comp):
    images = odd_images(comp.root)
    for image in (images[4], images[5], "train/00005.jpg"):
        with Image.open(comp.root / image) as stored:
            expected = similarity.thumbnails(stored.convert("RGB").convert("L"))
        greys = facts.image_facts(comp.root, image).greys
        assert np.array_equal(greys, expected) if min(stored.size) >= 32 else greys.size == 0
    values = np.arange(48 * 40, dtype=np.float32).reshape(40, 48) * 20
    expected = similarity.thumbnails(Image.fromarray(values * (255 / values.max())))
    assert np.array_equal(facts.image_facts(comp.root, images[0]).greys, expected.round())


def test_large_images_have_the_colours_of_their_squares(tmp_path):
    write_photo(tmp_path / "a.png", 1, size=(640, 320))
    pixels = read_pixels(tmp_path, "a.png").reshape(32, 10, 32, 20, 3)
    found = facts.image_facts(tmp_path, "a.png").colours
    assert np.abs(found - pixels.mean(axis=(1, 3))).max() <= 1.5


def test_files_of_one_image_are_compared_upright(comp):
    # A quarter turn makes 48x40 of what is stored as 40x48: a run would stop at the difference
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.open(comp.root / "train" / "00000.jpg")
    photo.save(comp.root / "train" / "turned.jpg", exif=exif)
    photo.transpose(Image.Transpose.ROTATE_90).save(comp.root / "train" / "fits.jpg", exif=exif)
    other, fits = (
        facts.image_facts(comp.root, ("train/00001.jpg", f"train/{name}.jpg")) for name in ("turned", "fits")
    )
    assert other.problem == "unreadable: parts of different sizes: 48x40, 40x48"
    assert fits.problem == "EXIF-rotated"
    assert read_pixels(comp.root, ("train/00001.jpg", "train/fits.jpg")).shape == (40, 48, 2)


def objects(path):
    with open(path, "wb") as file:
        np.savez(file, lines=np.array([os.getcwd], object))


def other_lines(path):
    with np.load(path) as stored:
        head = json.loads(stored["lines"].tobytes())
        head["lines"][3] = head["lines"][3][:5]
        columns = {name: stored[name] for name in stored.files}
    np.savez(path, **columns | {"lines": np.frombuffer(json.dumps(head).encode(), np.uint8)})


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"RGB", b"XYZ")),
        lambda path: path.write_bytes(pickle.dumps({"lines": []})),
        objects,
        other_lines,
    ],
    ids=["empty", "text", "truncated", "altered", "pickle", "objects", "other lines"],
)
def test_a_damaged_cache_is_made_anew(comp, forget, damage):
    expected = scan.scan(comp)
    path = comp.workspace / "scan.npz"
    stored = path.read_bytes()
    damage(path)
    forget()
    assert_equal(scan.scan(comp), expected)
    assert len(path.read_bytes()) == len(stored)


def test_other_rules_of_reading_make_the_cache_stale(comp, monkeypatch):
    scan.scan(comp)
    monkeypatch.setattr("kagglekit.competition.sources.MAX_PIXELS", 1000)
    assert all("is over 1000 pixels" in each.problem for each in scan.scan(comp))


def test_an_interrupted_scan_goes_on_where_it_stopped(make_competition, workspace, forget, monkeypatch):
    ids = [f"{number:05d}" for number in range(200)]
    comp = kk.load_competition(make_competition(ids=ids, labels=["cat", "dog"] * 100, size=(16, 12)))

    def interrupted(root, source):
        if source == "train/00150.jpg":
            raise KeyboardInterrupt
        return facts.image_facts(root, source)

    monkeypatch.setattr(scan, "image_facts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scan.scan(comp)
    forget()
    known = scan.cached_facts(comp, comp.train["source"])
    assert all(known[:128])
    assert not any(known[128:])
    assert_equal(scan.scan(dataclasses.replace(comp, train=comp.train.iloc[:100]))[:100], known[:100])


def test_where_nothing_can_be_written_it_warns_and_goes_on(comp, workspace):
    workspace.parent.mkdir(exist_ok=True)
    workspace.write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be cached"):
        report = kk.check_images(comp)
    assert report.attrs["verdict"] == "15 images read, no problem found"


def test_an_image_of_several_rows_is_decoded_once(comp, monkeypatch):
    decoded = []
    monkeypatch.setattr(scan, "image_facts", lambda root, source: decoded.append(source) or facts.Facts())
    scan.scan(comp, ["train/00000.jpg", "train/00001.jpg", "train/00000.jpg"])
    assert sorted(decoded) == ["train/00000.jpg", "train/00001.jpg"]
