"""A submission has exactly the sample's columns, ids and order, in each of its forms, or is not written."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk

FORMS = {
    "labels": "image_id,label\nz,cat\nx,cat\ny,cat\n",
    "empty labels": "image_id,label\nz,\nx,\ny,\n",
    "per class": "image_id,owl,cat,dog\nz,0.2,0.4,0.4\nx,0.2,0.4,0.4\ny,0.2,0.4,0.4\n",
}
TABLE = pd.DataFrame(
    {"image_id": ["x", "y", "z"], "cat": [0.7, 0.1, 0.25], "dog": [0.2, 0.2, 0.5], "owl": [0.1, 0.7, 0.25]}
)
WRITTEN = {
    "labels": "image_id,label\nz,dog\nx,cat\ny,owl\n",
    "empty labels": "image_id,label\nz,dog\nx,cat\ny,owl\n",
    "per class": "image_id,owl,cat,dog\nz,0.25,0.25,0.5\nx,0.1,0.7,0.2\ny,0.7,0.1,0.2\n",
}


@pytest.fixture
def load(make_competition):
    """Return a function that loads a competition of three classes, or of those given, with such a sample submission."""

    def load(sample, labels=("cat", "dog", "owl") * 2):
        folder = make_competition(ids=[f"{number:05d}" for number in range(len(labels))], labels=labels)
        (folder / "sample_submission.csv").write_text(sample)
        return kk.load_competition(folder, label_column="label")

    return load


def refused(comp, frame, tmp_path, message, error=ValueError):
    """Check that a submission raises and that nothing is written, not even a folder."""
    with pytest.raises(error, match=message):
        kk.make_submission(comp, frame, tmp_path / "out" / "mine.csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", FORMS)
def test_probabilities_are_written_in_the_samples_form_and_order(load, tmp_path, form, seed):
    comp = load(FORMS[form])
    frame = TABLE.sample(frac=1, random_state=seed).sample(frac=1, axis=1, random_state=seed)
    assert kk.make_submission(comp, frame, tmp_path / "a.csv").read_text() == WRITTEN[form]
    predictions = kk.Predictions.from_frame(TABLE.sample(frac=1, random_state=seed), id_column="image_id")
    assert kk.make_submission(comp, predictions, tmp_path / "b.csv").read_text() == WRITTEN[form]


@pytest.mark.parametrize("form", FORMS)
def test_ready_submission_is_put_into_the_samples_order(load, tmp_path, form):
    comp = load(FORMS[form])
    (tmp_path / "ready.csv").write_text(WRITTEN[form])
    ready = pd.read_csv(tmp_path / "ready.csv")[::-1]
    assert kk.make_submission(comp, ready, tmp_path / "a.csv").read_text() == WRITTEN[form]


@pytest.mark.parametrize(
    ("labels", "column", "expected"),
    [(["0", "1"], "label", "1"), (["benign", "malign"], "target", "malign"), (["cat", "dog"], "cat", "cat")],
    ids=["second class", "another name", "named after the first class"],
)
def test_one_probability_is_the_asked_classes(load, tmp_path, labels, column, expected):
    comp = load(f"image_id,{column}\ny,0.5\nx,0.5\n", labels * 3)
    frame = pd.DataFrame({"image_id": ["x", "y"], labels[0]: [0.75, 0.125], labels[1]: [0.25, 0.875]})
    x, y = frame[expected]
    text = f"image_id,{column}\ny,{y}\nx,{x}\n"
    assert kk.make_submission(comp, frame, tmp_path / "a.csv").read_text() == text
    ready = pd.DataFrame({"image_id": ["x", "y"], column: [x, y]})
    assert kk.make_submission(comp, ready, tmp_path / "b.csv").read_text() == text
    refused(comp, ready.assign(**{column: [0.5, 1.5]}), tmp_path, "from 0 to 1 .* 1 do not: 'y'")


def test_text_survives_from_train_to_submission(make_competition, tmp_path):
    ids = ["00012", "12", "NA", "1e5", "a,b"]
    folder = make_competition(ids=ids, labels=["NA", "007", "NA", "7", "007"], test_ids=ids)
    comp = kk.load_competition(folder)
    assert comp.class_names == ["007", "7", "NA"]
    even = pd.DataFrame(np.eye(3)[[2, 0, 1, 2, 0]], columns=comp.class_names)
    path = kk.make_submission(comp, even.assign(image_id=ids), tmp_path / "a.csv")
    assert path.read_text() == 'image_id,label\n00012,NA\n12,007\nNA,7\n1e5,NA\n"a,b",007\n'


def test_columns_that_are_numbers_are_the_classes_of_that_name(load, tmp_path):
    comp = load("image_id,label\nx,0\ny,0\n", ["0", "1"] * 3)
    frame = pd.DataFrame([[0.1, 0.9], [0.6, 0.4]]).assign(image_id=["x", "y"])
    assert kk.make_submission(comp, frame, tmp_path / "a.csv").read_text() == "image_id,label\nx,1\ny,0\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[1:], r"1 missing \('x'\), 0 foreign"),
        (lambda table: table.assign(image_id=["x", "y", "w"]), r"1 missing \('z'\), 1 foreign \('w'\); ids are text"),
        (lambda table: table.assign(image_id=["x", None, "w"]), "2 missing .*, 2 foreign .*'w'"),
        (lambda table: pd.concat([table, table[:1]]), "image_id of the submission once, but 'x' occur more than once"),
        (lambda table: table.rename(columns={"image_id": "image"}), "a column 'image_id'. Did you mean 'image'?"),
        (lambda table: table.assign(cat=[0.7, np.nan, 0.25]), "NaN or infinite probabilities in 1 rows: 'y'"),
        (lambda table: table.assign(cat=[0.7, 0.1, 0.5]), r"1 do not: 'z' \(the first sums to 1.25\); apply a softmax"),
        (lambda table: table.assign(cat=[0.7, -0.6, 0.25], owl=[0.1, 1.4, 0.25]), "from 0 to 1 .* 1 do not: 'y'"),
        (lambda table: table.drop(columns="owl"), r"expected the columns \[.*\] as in the sample, .*; missing '"),
    ],
)
def test_broken_probabilities_are_named_and_nothing_is_written(load, tmp_path, form, change, message):
    refused(load(FORMS[form]), change(TABLE), tmp_path, message)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dgo", "owl"], "labels that are not classes: 'dgo' for ids 'y'"),
        (["cat", None, "owl"], "labels that are not classes: '(nan|None)' for ids 'y'"),
        ([0, 1, 2], "labels that are not classes: '2', '0', '1' for ids 'z', 'x', 'y'"),
    ],
)
def test_unknown_labels_are_named_with_their_ids(load, tmp_path, labels, message):
    frame = pd.DataFrame({"image_id": ["x", "y", "z"], "label": labels})
    refused(load(FORMS["labels"]), frame, tmp_path, message)


def test_ids_read_as_numbers_are_answered_with_the_reason(load, tmp_path):
    comp = load("image_id,label\nx,cat\n")
    frame = pd.DataFrame({"image_id": [12], "label": ["cat"]})
    refused(comp, frame, tmp_path, "'12'.; ids are text, so 12 is not 00012")


def test_other_classes_and_other_types_are_refused(load, tmp_path):
    comp = load(FORMS["labels"])
    other = kk.Predictions.from_frame(TABLE.rename(columns={"owl": "elk"}))
    refused(comp, other, tmp_path, r"foreign has the classes .*'elk'\], the competition .*'owl'\]")
    refused(comp, TABLE.to_dict(), tmp_path, "expected Predictions or a DataFrame, got dict", TypeError)


def test_sample_of_unknown_form_is_refused(load, tmp_path):
    comp = load("image_id,target\nx,0.5\n")
    message = (
        r"cannot tell what .*: its columns \['target'\] are neither the label column 'label' nor the classes 'cat'"
    )
    refused(comp, TABLE[:1], tmp_path, message)


@pytest.mark.parametrize("name", ["mine", "mine.json", "kept", "kept.csv"])
def test_path_must_name_a_csv_and_never_replaces_a_folder(load, tmp_path, name):
    comp = load(FORMS["labels"])
    for folder in ("kept", "kept.csv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "old.csv").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=rf"expected path to name a file that ends in .csv, got '.*/{name}'"):
        kk.make_submission(comp, TABLE, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_default_name_tells_predictions_score_and_content(load, workspace):
    comp = load(FORMS["labels"])
    oof = TABLE.assign(label=["cat", "owl", "cat"])  # two of three right
    predictions = kk.Predictions.from_frame(TABLE, oof, name="../my model")
    path = kk.make_submission(comp, predictions)
    assert path.parent == workspace / "submissions" / comp.name
    assert path.name.startswith(".._my_model-cv0.6667-")
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["cv_score"] == pytest.approx(2 / 3)
    assert (about["competition"], about["rows"], about["metric"]) == (comp.name, 3, "accuracy")
    assert about["versions"]["numpy"] == np.__version__
    assert kk.make_submission(comp, predictions) == path
    assert len(list(path.parent.iterdir())) == 2


def test_competition_without_test_images_has_nothing_to_submit(make_competition):
    folder = make_competition()
    (folder / "sample_submission.csv").unlink()
    shutil.rmtree(folder / "test")
    with pytest.raises(ValueError, match=r"no test images, so there is nothing to submit; put them into .*test"):
        kk.make_submission(kk.load_competition(folder), TABLE)
