"""What would go wrong without a word: files of another image, lost rows, columns in another order, split groups."""

import io

import numpy as np
import pandas as pd
import pytest
from replicas import fashion, make_image, save
from test_containers import write_tfrecords

import kagglekit as kk


def save_images(folder, names, label="x"):
    for number, name in enumerate(names):
        save(folder / name, label, number)


def table(folder, text, name="train.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_numbers_keep_the_order_of_their_columns(tmp_path, workspace):
    save_images(tmp_path / "c" / "train", [f"{n}.png" for n in range(8)])
    save_images(tmp_path / "c" / "test", ["8.png"])
    table(tmp_path / "c", "id,y,x\n" + "".join(f"{n},{100 + n / 4},{n / 8 + 0.5}\n" for n in range(8)))
    table(tmp_path / "c", "id,y,x\n8,0,0\n", "sample_submission.csv")
    comp = kk.load_competition(tmp_path / "c")
    assert (comp.task, comp.class_names) == ("regression", ["y", "x"])
    predictions = kk.reference_predictions(comp, kk.assign_folds(comp, 2))
    written = pd.read_csv(kk.make_submission(comp, predictions))
    assert written["y"].item() > 50 > written["x"].item()


def test_bins_keep_the_order_of_the_table(tmp_path):
    save_images(tmp_path / "images", ["a.png", "b.png"])
    bins = [str(n) for n in range(1, 11)]
    table(tmp_path, f"id,{','.join(bins)}\na,{'1,' * 9}0\nb,{'0,' * 9}5\n")
    table(tmp_path, f"id,{','.join(sorted(bins))}\n" + "".join(f"a,{'0.1,' * 9}0.1\n"), "sample_submission.csv")
    comp = kk.load_competition(tmp_path, task="distribution")
    assert comp.class_names == bins


def test_ordered_classes_keep_the_presets_order(make_competition):
    folder = make_competition(ids=["a", "b", "c"], labels=["low", "high", "medium"])
    preset = kk.Preset(classes=("low", "medium", "high"))
    assert kk.load_competition(folder, preset).class_names == ["low", "medium", "high"]
    with pytest.raises(ValueError, match="labels that the preset's classes do not name: 'high'"):
        kk.load_competition(folder, kk.Preset(classes=("low", "medium")))


def test_test_channels_follow_the_training_template(tmp_path):
    for part in ("train", "test"):
        save_images(tmp_path / part, [f"{part}1_{colour}.png" for colour in ("red", "green", "blue")])
    table(tmp_path, "id,label\ntrain1,x\n")
    table(tmp_path, "id,label\ntest1,x\n", "sample_submission.csv")
    preset = kk.Preset(train_images="train/{id}_{channel}.png", channels=("blue", "red"), task="multi_label")
    comp = kk.load_competition(tmp_path, preset)
    assert comp.test["source"][0] == ("test/test1_blue.png", "test/test1_red.png")


def test_rows_of_differing_channels_are_refused(tmp_path):
    save_images(tmp_path / "train", [f"a_w{n}.png" for n in (1, 2, 10)] + [f"b_w{n}.png" for n in (1, 2, 10)])
    save_images(tmp_path / "test", ["c_w1.png", "c_w2.png"])
    table(tmp_path, "id,label\na,x\nb,y\n")
    table(tmp_path, "id,label\nc,x\n", "sample_submission.csv")
    with pytest.raises(ValueError, match=r"rows have \[2, 3\] files each"):
        kk.load_competition(tmp_path)
    (tmp_path / "sample_submission.csv").unlink()
    (tmp_path / "test" / "c_w1.png").unlink()
    (tmp_path / "test" / "c_w2.png").unlink()
    comp = kk.load_competition(tmp_path)
    assert comp.train["source"][0] == ("train/a_w1.png", "train/a_w2.png", "train/a_w10.png")


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "Test"), ("train", "test")])
def test_train_and_test_are_no_classes_in_any_spelling(tmp_path, train, test):
    for label in ("cat", "dog"):
        save_images(tmp_path / train / label, ["1.jpg", "2.jpg"])
    save_images(tmp_path / test, ["7.jpg"])
    comp = kk.load_competition(tmp_path)
    assert (comp.class_names, len(comp.train), len(comp.test)) == (["cat", "dog"], 4, 1)


def test_folders_and_files_that_are_not_read_are_named(tmp_path):
    for part in ("train", "valid"):
        for label in ("cat", "dog"):
            save_images(tmp_path / part / label, ["1.jpg"])
    (tmp_path / "train" / "cat" / "2.jfif").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"that are not read: 'valid'") as caught:
        kk.load_competition(tmp_path)
    assert any("1 files in" in str(found.message) and "2.jfif" in str(found.message) for found in caught)


def test_a_missing_image_is_never_taken_from_another_folder(tmp_path):
    save_images(tmp_path / "train", ["0.png", "1.png"])
    save_images(tmp_path / "masks", ["2.png"])
    table(tmp_path, "id,label\n0,x\n1,y\n2,x\n")
    with pytest.raises(FileNotFoundError, match="no image file for 1 of 3 ids: '2'"):
        kk.load_competition(tmp_path)


def test_a_group_that_cannot_be_kept_is_refused_and_one_of_a_pixel_csv_is_kept(tmp_path, workspace):
    fashion(tmp_path / "pixels")
    path = tmp_path / "pixels" / "fashion-mnist_train.csv"
    lines = path.read_text().splitlines()
    text = [f"patient,{lines[0]}", *(f"p{n // 4},{line}" for n, line in enumerate(lines[1:]))]
    (tmp_path / "pixels" / "train.csv").write_text("\n".join(text) + "\n")
    comp = kk.load_competition(tmp_path / "pixels", group_column="patient")
    assert comp.train["group"].tolist()[3:6] == ["p0", "p1", "p1"]
    assert comp.label_column == "label"
    with pytest.raises(ValueError, match="no column 'site' before its pixels"):
        kk.load_competition(tmp_path / "pixels", group_column="site", label_column="label")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train_list.txt").write_text("a.jpg 0\n")
    with pytest.raises(ValueError, match="list_files has no table, so columns cannot be chosen: 'group_column'"):
        kk.load_competition(tmp_path / "lists", group_column="patient")


def test_pixel_rows_are_paired_by_their_own_ids(tmp_path, workspace):
    pixels = [np.asarray(make_image(n, n, (8, 8), "L")).ravel() for n in range(5)]
    header = ",".join(f"pixel{n}" for n in range(64))
    rows = [f"{n % 2},{','.join(map(str, pixels[n]))}" for n in range(3)]
    table(tmp_path / "p", f"label,{header}\n" + "\n".join(rows) + "\n")
    rows = [f"{n},{','.join(map(str, pixels[n]))}" for n in (3, 4)]
    table(tmp_path / "p", f"id,{header}\n" + "\n".join(rows) + "\n", "test.csv")
    table(tmp_path / "p", "id,label\n4,0\n3,0\n", "sample_submission.csv")
    comp = kk.load_competition(tmp_path / "p")
    from kagglekit.competition.sources import read_pixels

    source = comp.test.set_index("id")["source"]["4"]
    np.testing.assert_array_equal(read_pixels(comp.root, source).ravel(), pixels[4])
    table(tmp_path / "p", f"label,{header}\n0,{'0.5,' * 63}1\n1,{'0,' * 63}300\n")
    report = kk.check_images(kk.load_competition(tmp_path / "p")).set_index("image_id")
    assert report.loc["train_0", "problem"] == "unreadable: pixels from 0.5 to 1; expected whole numbers from 0 to 255"


def test_one_hot_columns_called_by_numbers_are_no_pixels(tmp_path):
    save_images(tmp_path / "train", ["a.png", "b.png"])
    classes = [str(n) for n in range(100)]
    table(tmp_path, f"id,{','.join(classes)}\na,1{',0' * 99}\nb,{'0,' * 99}1\n")
    comp = kk.load_competition(tmp_path)
    assert comp.train["label"].tolist() == ["0", "99"]


def test_arrays_say_what_they_are(workspace):
    images = np.zeros((4, 8, 8), np.uint8)
    column = kk.from_arrays(images, np.array([[3], [5], [3], [5]]), name="column")
    assert (column.task, column.class_names) == ("single_label", ["3", "5"])
    one_hot = kk.from_arrays(images, [np.array([0, 1]), np.array([1, 0])] * 2, name="onehot")
    assert (one_hot.task, one_hot.train["label"].tolist()) == ("single_label", ["1", "0"] * 2)
    named = kk.from_arrays(images, pd.DataFrame({"a": [1, 0, 1, 1], "b": [1, 1, 0, 0]}), name="named")
    assert (named.task, named.class_names) == ("multi_label", ["a", "b"])
    pairs = kk.from_arrays(images, [(0.5, 1.5)] * 4, name="pairs", preset=kk.Preset(task="regression"))
    assert (pairs.task, pairs.targets.shape) == ("regression", (4, 2))
    with pytest.raises(ValueError, match="a label for each image, got None"):
        kk.from_arrays(images, ["a", None, "b", "a"], name="none")
    assert workspace in kk.from_arrays(images, ["a", "b"] * 2, name="../../out").root.parents


def test_records_of_several_values_and_words_that_hold_test_are_told_apart(tmp_path, workspace):
    import tensorflow as tf

    stored = io.BytesIO()
    make_image("a", 1).save(stored, "JPEG")
    rows = [{"id": f"{n}".encode(), "image": stored.getvalue(), "class": n % 2} for n in range(4)]
    write_tfrecords(tmp_path / "data" / "train" / "latest-4.tfrec", rows)
    comp = kk.load_competition(tmp_path / "data")
    assert (len(comp.train), len(comp.test)) == (4, 0)
    values = tf.train.Feature(int64_list=tf.train.Int64List(value=[0, 1]))
    features = {"id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"1"])), "class": values}
    features["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[stored.getvalue()]))
    example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    (tmp_path / "odd" / "train").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "odd" / "train" / "a.tfrec")) as writer:
        writer.write(example)
    with pytest.raises(ValueError, match="record 0 has 2 values of 'class', expected one"):
        kk.load_competition(tmp_path / "odd")


def test_a_product_without_a_image_is_named(tmp_path, workspace):
    import bson

    document = {"_id": 7, "category_id": 1, "imgs": []}
    (tmp_path / "train.bson").write_bytes(bson.encode(document))
    with pytest.raises(ValueError, match="lacks '_id' or 'imgs'.*an image of _id 7"):
        kk.load_competition(tmp_path)


def test_an_open_quotation_mark_and_a_missing_header_are_refused(make_competition):
    folder = make_competition(ids=["a", "b", "c"], labels=["x", "y", "x"])
    (folder / "train.csv").write_text('image_id,label,note\na,x,"5 inch\nb,y,6\nc,x,"7 inch\n')
    with pytest.raises(ValueError, match=r"row 1: a cell of column 'note' runs over several lines"):
        kk.load_competition(folder)
    (folder / "train.csv").write_text("a.jpg,x\nb.jpg,y\nc.jpg,x\n")
    (folder / "sample_submission.csv").unlink()
    with pytest.raises(ValueError, match="has no header: its first cell is the image 'a.jpg'"):
        kk.load_competition(folder)


def test_predictions_of_rows_are_not_averaged_again(tmp_path, workspace):
    """Image ids and submission ids are both small numbers: which is meant is remembered, not guessed."""
    save_images(tmp_path / "c" / "images", [f"{n}.png" for n in range(1, 9)])
    table(tmp_path / "c", "product,image,label\n2,1,x\n2,2,x\n3,3,y\n3,4,y\n")
    table(tmp_path / "c", "product,image\n6,5\n6,6\n5,7\n5,8\n", "test.csv")
    table(tmp_path / "c", "product,label\n5,x\n6,x\n", "sample_submission.csv")
    preset = kk.Preset(id_column="product", image_column="image", label_column="label")
    comp = kk.load_competition(tmp_path / "c", preset)
    said = kk.Predictions(
        name="p", class_names=["x", "y"], oof_ids=comp.train["image_id"], oof=np.eye(2)[[0, 0, 1, 1]],
        oof_labels=[0, 0, 1, 1], oof_folds=[0, 0, 1, 1], test_ids=comp.test["image_id"],
        test=[[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.0, 1.0]], per="image",
    )  # fmt: skip
    once = said.fitted_to(comp)
    assert dict(zip(once.test_ids, once.test[:, 0].round(6), strict=True)) == {"6": 0.8, "5": 0.1}
    assert once.fitted_to(comp).test.tolist() == once.test.tolist()
    assert kk.make_submission(comp, once).read_text() == "product,label\n5,y\n6,x\n"


def test_labels_between_bars_are_several_labels(make_competition):
    folder = make_competition(ids=["a", "b", "c"], labels=["No Finding", "Mass|Edema", "Edema"])
    comp = kk.load_competition(folder)
    assert (comp.task, comp.class_names) == ("multi_label", ["Edema", "Mass", "No_Finding"])


def test_a_submission_never_replaces_an_organisers_file(make_competition):
    comp = kk.load_competition(make_competition())
    with pytest.raises(ValueError, match="is among the organiser's files"):
        kk.make_submission(comp, comp.sample_submission, comp.root / "sample_submission.csv")


def test_folds_of_other_labels_are_refused(make_competition, workspace):
    folder = make_competition()
    comp = kk.load_competition(folder)
    kk.save_folds(comp, kk.assign_folds(comp))
    lines = (folder / "train.csv").read_text().replace("owl", "eagle")
    (folder / "train.csv").write_text(lines)
    with pytest.raises(ValueError, match="was made for other labels"):
        kk.load_folds(kk.load_competition(folder))
