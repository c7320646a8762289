"""What a careless or hostile organiser hands out: an error that names it, or correct handling."""

import struct
import zlib

import pytest
from replicas import save

import kagglekit as kk


def huge_png(path, side=40_000):
    """Write a PNG of side x side black pixels: 1.6 GB decoded, some 200 KB on disk."""
    row = zlib.compressobj(9)
    content = b"".join(row.compress(b"\0" * (side // 8 + 1) * 1000) for _ in range(side // 1000)) + row.flush()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""))


def test_a_decompression_bomb_is_named_and_never_decoded(make_competition, workspace):
    folder = make_competition(ids=["a", "b", "c", "d"], labels=["0", "1"] * 2, suffix=".png")
    huge_png(folder / "train" / "b.png")
    comp = kk.load_competition(folder)
    report = kk.check_images(comp).set_index("image_id")
    assert report.loc["b", "problem"].startswith("unreadable: over 100000000 pixels")
    with pytest.raises(ValueError, match=r"b.png.*over 100000000 pixels"):
        kk.duplicate_groups(comp)
    with pytest.raises(ValueError, match=r"1 images below .* cannot be decoded: 'train/b.png .*'"):
        kk.write_records(comp, kk.assign_folds(comp, 2))


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("../../etc/passwd", "does not name a file inside"),
        ("/etc/passwd", "does not name a file inside"),
        ('"a\nb"', r"a cell of column 'image_id' runs over several lines"),
        ("a\tb", r"id 'a\\tb' does not name a file inside"),
    ],
)
@pytest.mark.parametrize("table", ["train.csv", "sample_submission.csv"])
def test_ids_that_are_no_names_are_refused(make_competition, table, identifier, message):
    folder = make_competition()
    lines = (folder / table).read_text().splitlines()
    (folder / table).write_text("\n".join([lines[0], f"{identifier},cat", *lines[2:]]) + "\n")
    with pytest.raises(ValueError, match=message):
        kk.load_competition(folder)


def test_whole_numbers_and_text_are_both_ids(make_competition, tmp_path):
    folder = make_competition(ids=["1", "01", "one", "1.0"], labels=["a", "b"] * 2, test_ids=["7", "x7"])
    comp = kk.load_competition(folder)
    assert comp.train["source"].tolist() == ["train/1.jpg", "train/01.jpg", "train/one.jpg", "train/1.0.jpg"]
    path = kk.make_submission(comp, comp.sample_submission, tmp_path / "a.csv")
    assert path.read_text() == (folder / "sample_submission.csv").read_text()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_byte_order_mark_and_other_separators_are_read(make_competition, separator):
    folder = make_competition()
    expected = kk.load_competition(folder)
    for name in ("train.csv", "sample_submission.csv"):
        text = (folder / name).read_text().replace(",", separator)
        (folder / name).write_text("\ufeff" + text, encoding="utf-8")
    comp = kk.load_competition(folder)
    assert comp.train.equals(expected.train)
    assert comp.id_column == expected.id_column


def test_stray_images_beside_the_classes_are_named(tmp_path):
    for label in ("cat", "dog"):
        save(tmp_path / "train" / label / "1.jpg", label, 1)
    save(tmp_path / "train" / "stray.jpg", "cat", 2)
    with pytest.warns(UserWarning, match=r"outside the class folders are left out: 'stray.jpg'"):
        comp = kk.load_competition(tmp_path)
    assert len(comp.train) == 2


def test_a_binary_sample_of_zeros_is_a_probability_where_the_metric_ranks(make_competition, tmp_path):
    folder = make_competition(ids=["a", "b", "c", "d"], labels=["0", "1", "1", "0"])
    predictions = kk.Predictions(
        name="ranks", class_names=["0", "1"], oof_ids=[], oof=[], oof_labels=[], oof_folds=[],
        test_ids=["x", "y", "z"], test=[[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]],
    )  # fmt: skip
    ranked = kk.load_competition(folder, metric="auc")
    path = kk.make_submission(ranked, predictions, tmp_path / "a.csv")
    assert path.read_text() == "image_id,label\nx,0.25\ny,0.5\nz,0.875\n"
    path = kk.make_submission(kk.load_competition(folder), predictions, tmp_path / "b.csv")
    assert path.read_text() == "image_id,label\nx,0\ny,0\nz,1\n"
