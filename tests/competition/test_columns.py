"""The table's own columns are never taken for metadata: not offered, not filled, not drawn, not given to a network."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import kagglekit as kk
from kagglekit.competition.columns import RESERVED


@pytest.fixture(scope="module")
def patients():
    """Copies of twelve images, with groups and metadata of which a half is missing."""
    comp = kk.from_arrays(
        np.random.default_rng(0).integers(0, 255, (12, 8, 8), np.uint8),
        ["a", "b"] * 6,
        np.random.default_rng(1).integers(0, 255, (12, 8, 8), np.uint8),
        name="patients",
    )
    train, test = (table.assign(age=["", "30"] * 6, site=["x", "y"] * 6) for table in (comp.train, comp.test))
    return kk.expand(dataclasses.replace(comp, train=train, test=test.assign(group=test["id"])), 1, [("noise", 0.1)])


def test_a_competition_of_all_columns_offers_the_others_as_metadata(patients):
    assert set(RESERVED) < set(patients.train)
    assert patients.metadata_columns == ["age", "site"]


@pytest.mark.parametrize("column", RESERVED)
def test_no_reserved_column_is_filled_drawn_or_stored_as_metadata(patients, column):
    with pytest.raises(ValueError, match=f"'{column}' of a Competition are not metadata"):
        kk.fill_missing(patients, ["age", column], "unknown")
    with pytest.raises(ValueError, match=f"no metadata column '{column}'; there are 'age', 'site'$"):
        kk.plot_metadata(patients, column)
    with pytest.raises(ValueError, match=f"'{column}' cannot be metadata"):
        kk.write_records(patients, [0, 1] * 12, metadata=["age", column])


def test_what_copies_are_of_does_not_count_as_missing(patients):
    report = kk.check_images(patients)
    verdict = kk.describe_data(patients, report).set_index("topic")
    assert verdict.loc["missing values", "finding"] == "age 50.0%"
    ax = kk.plot_missing(patients)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["age"]
    assert ax.get_title() == "Missing values: 1 of 3 columns have some"
    plt.close("all")


def test_train_and_test_are_told_apart_by_metadata_alone(patients):
    comp = dataclasses.replace(patients, test=patients.test.assign(copy_of="", label="a"))
    assert set(kk.adversarial_validation(comp)["column"]) <= {"age", "site"}


def test_columns_of_the_organiser_that_have_our_names_are_kept_as_metadata(make_competition):
    folder = make_competition()
    table = pd.read_csv(folder / "train.csv", dtype=str)
    table.assign(copy_of="00000", group="g", source="camera").to_csv(folder / "train.csv", index=False)
    comp = kk.load_competition(folder)
    assert comp.metadata_columns == ["copy_of_in_csv", "group_in_csv", "source_in_csv"]
