"""What is taken out is named and found again; what is filled in is learnt from training rows alone."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.competition.sources import name_of
from kagglekit.competition.tables import Competition


@pytest.fixture
def broken(make_competition, workspace):
    """24 training images, of which 00003 is no image and 00007 is very wide; all 3 test images are fine."""
    from conftest import write_photo

    folder = make_competition()
    (folder / "train" / "00003.jpg").write_bytes(b"no image")
    write_photo(folder / "train" / "00007.jpg", seed=7, size=(640, 20))
    return kk.load_competition(folder)


def written(comp):
    return pd.read_csv(comp.workspace / "quarantine.csv", dtype=str, keep_default_na=False)


class TestQuarantine:
    def test_an_unreadable_training_image_goes_and_the_file_says_why(self, broken, capsys):
        before = broken.train.copy()
        comp = kk.quarantine(broken, kk.check_images(broken))
        assert comp.train["image_id"].tolist() == [name for name in before["image_id"] if name != "00003"]
        assert comp.test.equals(broken.test)
        table = written(comp)
        assert table.columns.tolist() == ["image_id", "source", "problem"]
        assert table["image_id"].tolist() == ["00003"]
        assert table["source"].tolist() == ["train/00003.jpg"]
        assert table["problem"].str.startswith("unreadable").all()
        assert "1 images taken out, 23 training images remain" in capsys.readouterr().out
        assert broken.train.equals(before)

    def test_what_remains_can_be_read(self, broken):
        report = kk.check_images(kk.quarantine(broken, kk.check_images(broken)))
        assert not report["problem"].str.startswith("unreadable").any()

    def test_a_later_notebook_takes_out_the_same_images_without_a_report(self, broken):
        first = kk.quarantine(broken, kk.check_images(broken))
        later = kk.quarantine(kk.load_competition(broken.root))
        assert later.hash == first.hash != broken.hash
        folds = kk.assign_folds(first, n_splits=2)
        kk.save_folds(first, folds)
        assert kk.load_folds(later).equals(folds)

    def test_taking_out_twice_changes_nothing(self, broken):
        report = kk.check_images(broken)
        once = kk.quarantine(broken, report)
        assert kk.quarantine(once, report) is once
        assert written(once)["image_id"].tolist() == ["00003"]

    def test_a_mended_file_comes_back(self, broken):
        from conftest import write_photo

        kk.quarantine(broken, kk.check_images(broken))
        write_photo(broken.root / "train" / "00003.jpg", seed=3)
        assert kk.quarantine(broken, kk.check_images(broken)) is broken
        assert kk.quarantine(broken) is broken
        assert written(broken).empty

    def test_without_report_and_file_nothing_is_taken_out(self, broken):
        assert kk.quarantine(broken) is broken

    def test_further_problems_go_when_they_are_named(self, broken):
        report = kk.check_images(broken)
        kind = report.loc[report["image_id"] == "00007", "problem"].item()
        assert kind
        comp = kk.quarantine(broken, report, problems=kind)
        assert len(broken.train) - len(comp.train) == 2
        assert written(comp)["image_id"].tolist() == ["00003", "00007"]

    def test_one_of_several_problems_of_an_image_is_enough(self, broken):
        report = kk.check_images(broken)
        report.loc[report["image_id"] == "00009", "problem"] = "palette; extreme aspect"
        comp = kk.quarantine(broken, report, problems=["extreme"])
        assert "00009" not in comp.train["image_id"].tolist()

    def test_an_unreadable_test_image_stays_because_its_row_is_needed(self, make_competition, workspace):
        folder = make_competition()
        (folder / "test" / "y.jpg").write_bytes(b"no image")
        comp = kk.load_competition(folder)
        with pytest.warns(UserWarning, match=r"1 test images cannot be used and stay.*y\.jpg"):
            kept = kk.quarantine(comp, kk.check_images(comp))
        assert kept.test["image_id"].tolist() == ["x", "y", "z"]
        assert written(comp).empty

    def test_a_test_image_goes_where_its_row_has_another(self, make_competition, workspace):
        folder = make_competition()
        (folder / "test" / "y.jpg").write_bytes(b"no image")
        comp = kk.load_competition(folder)
        comp = dataclasses.replace(comp, test=comp.test.assign(id=["product", "product", "other"]))
        kept = kk.quarantine(comp, kk.check_images(comp))
        assert kept.test["image_id"].tolist() == ["x", "z"]
        assert set(kept.test["id"]) == set(comp.test["id"])
        assert written(comp)["image_id"].tolist() == ["y"]

    def test_a_image_of_several_files_goes_as_a_whole(self, broken):
        train = broken.train.assign(source=[(part, part) for part in broken.train["source"]])
        comp = dataclasses.replace(broken, train=train)
        report = kk.check_images(broken)
        names = pd.concat([comp.train["source"].map(name_of), comp.test["source"]]).tolist()
        kept = kk.quarantine(comp, report.assign(source=names))
        assert len(kept.train) == 23
        assert kk.quarantine(comp).hash == kept.hash

    def test_a_class_that_loses_all_its_images_is_named_and_keeps_its_output(self, broken):
        report = kk.check_images(broken)
        cats = broken.train.loc[broken.train["label"] == "cat", "image_id"]
        report.loc[report["image_id"].isin(cats), "problem"] = "unreadable: for this test"
        with pytest.warns(UserWarning, match="without a training image now: 'cat'"):
            comp = kk.quarantine(broken, report)
        assert comp.class_names == ["cat", "dog", "owl"]

    def test_errors_say_what_to_do(self, broken, digits):
        report = kk.check_images(broken)
        with pytest.raises(ValueError, match="no image has a problem that begins with 'blurred'; found: 'unreadable"):
            kk.quarantine(broken, report, problems="blurred")
        with pytest.raises(ValueError, match=r"the report lacks train images.*run kk.check_images"):
            kk.quarantine(digits, report)
        with pytest.raises(ValueError, match="problems= needs a report"):
            kk.quarantine(broken, problems="very")
        with pytest.raises(ValueError, match="no training image would remain"):
            kk.quarantine(broken, report.assign(problem="unreadable: for this test"))


@pytest.fixture
def patients(digits):
    """The digits with an age and a sex, some missing, in train and test."""
    tables = []
    for table, ages in ((digits.train, ["50", "", "61", "70"]), (digits.test, ["20", "", "20", "20"])):
        wide = table.assign(age=np.resize(np.array(ages, object), len(table)))
        tables.append(wide.assign(sex=np.resize(np.array(["f", "f", "", "m", " "], object), len(table))))
    return dataclasses.replace(digits, train=tables[0], test=tables[1])


class TestFillMissing:
    def test_the_median_is_that_of_train_in_test_too(self, patients):
        filled = kk.fill_missing(patients, "age", "median")
        expected = pd.to_numeric(patients.train["age"]).median()
        assert filled.train["age"][1] == filled.test["age"][1] == f"{expected:g}"
        assert filled.train["age"][0] == "50"
        assert patients.train["age"][1] == ""

    def test_the_mode_is_that_of_train_and_spaces_are_missing(self, patients):
        filled = kk.fill_missing(patients, "sex", "mode")
        assert set(filled.train["sex"]) == set(filled.test["sex"]) == {"f", "m"}
        assert filled.test["sex"][4] == "f"

    def test_a_marker_remembers_what_was_missing(self, patients):
        filled = kk.fill_missing(patients, ["age", "sex"], ["marker", "unknown"])
        for table, before in ((filled.train, patients.train), (filled.test, patients.test)):
            for column in ("age", "sex"):
                empty = before[column].str.strip() == ""
                assert (table[f"{column}_missing"] == np.where(empty, "yes", "no")).all()
                assert ((table[column] == "unknown") == empty).all()
                assert (table[column][~empty] == before[column][~empty]).all()

    def test_a_column_that_only_train_has_is_filled_there(self, patients):
        comp = dataclasses.replace(patients, test=patients.test.drop(columns="sex"))
        filled = kk.fill_missing(comp, "sex", "unknown")
        assert "unknown" in set(filled.train["sex"])
        assert "sex" not in filled.test

    def test_missing_labels_are_filled_before_the_table_becomes_a_competition(self, digits):
        train = digits.train.copy()
        train.loc[train.index[:5], "label"] = ""
        with pytest.raises(ValueError, match="rows without a label"):
            dataclasses.replace(digits, train=train)
        filled = kk.fill_missing(train, "label", "unknown")
        comp = Competition(name="digits", root=digits.root, train=filled, test=digits.test)
        assert comp.class_counts()["unknown"] == 5

    def test_numbers_stay_numbers(self):
        table = pd.DataFrame({"age": [1.0, np.nan, 3.0, 8.0]})
        filled = kk.fill_missing(table, "age", "median")
        assert filled["age"].dtype == float
        assert filled["age"].tolist() == [1, 3, 3, 8]  # the median of 1, 3 and 8

    def test_a_reference_gives_the_figures(self):
        filled = kk.fill_missing(
            pd.DataFrame({"age": ["", "9"]}), "age", "median", reference=pd.DataFrame({"age": ["1", "2"]})
        )
        assert filled["age"].tolist() == ["1.5", "9"]

    def test_nothing_missing_changes_nothing(self, digits):
        table = digits.train
        assert kk.fill_missing(table, "label", "mode").equals(table)

    @pytest.mark.parametrize(
        ("columns", "how", "message"),
        [
            ("age", "medain", "expected how to be one of .*Did you mean 'median'"),
            ("aeg", "median", "no column 'aeg'; there are"),
            ("sex", "median", "column 'sex' has no median, it holds 'f', 'f', 'm'"),
            ("label", "unknown", "are not metadata; fill labels in the organiser's table"),
        ],
    )
    def test_errors_say_what_to_do(self, patients, columns, how, message):
        with pytest.raises(ValueError, match=message):
            kk.fill_missing(patients, columns, how)

    def test_a_column_without_any_value_has_no_mode(self):
        with pytest.raises(ValueError, match="no value to learn from"):
            kk.fill_missing(pd.DataFrame({"age": ["", ""]}), "age", "mode")
