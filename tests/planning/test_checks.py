"""Before a long run: the learning rate that is suggested learns, and the sanity checks tell right from wrong."""

import numpy as np
import pandas as pd
import pytest

import kagglekit as kk


@pytest.fixture(scope="module")
def rates(digits, quick_folds, quick_recipe):
    return kk.lr_find(digits, quick_folds, quick_recipe, steps=60)


def test_rates_grow_by_one_factor_and_the_suggestion_lies_below_the_lowest_loss(rates):
    factors = rates["learning_rate"].to_numpy()[1:] / rates["learning_rate"].to_numpy()[:-1]
    np.testing.assert_allclose(factors, factors[0])
    lowest = rates["learning_rate"][rates["smoothed"].idxmin()]
    assert rates.attrs["suggestion"] == pytest.approx(lowest / 10, rel=0.06)


def test_the_suggested_rate_learns_what_a_thousandth_of_it_does_not(rates, digits, quick_folds, quick_recipe, tmp_path):
    rate, scores = rates.attrs["suggestion"], []
    for factor in (1, 1e-3):
        recipe = quick_recipe.replace(epochs=2, learning_rate=rate * factor)
        scores.append(kk.cross_validate(digits, quick_folds, recipe, fold_numbers=[0], parent=tmp_path).score)
    assert scores[0] > 0.5 > scores[1]


def test_the_plot_marks_the_suggestion(rates):
    ax = kk.plot_lr(rates)
    assert ax.get_xscale() == "log"
    assert f"suggestion {rates.attrs['suggestion']:g}" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_sound_data_pass_the_checks(digits, quick_folds, quick_recipe):
    table = kk.sanity_checks(digits, quick_folds, quick_recipe)
    assert table["verdict"].tolist() == ["good"] * 3


def test_a_network_that_learns_nothing_is_told(digits, quick_folds, quick_recipe):
    table = kk.sanity_checks(digits, quick_folds, quick_recipe.replace(learning_rate=1e-9))
    verdicts = dict(zip(table["check"], table["verdict"], strict=True))
    assert verdicts["accuracy on 32 memorised images"].startswith("raise the learning rate")
    assert verdicts["accuracy with shuffled labels"] == "good"


def test_what_cannot_be_checked_is_refused(digits, quick_folds, quick_recipe, workspace):
    with pytest.raises(ValueError, match="expected 0 < low < high and 10 steps or more, got 1, 0.1 and 50"):
        kk.lr_find(digits, quick_folds, quick_recipe, low=1, high=0.1, steps=50)
    numbers = kk.from_arrays(np.zeros((4, 8, 8), np.uint8), [0.5, 1.5, 2.5, 3.5], name="numbers")
    with pytest.raises(ValueError, match="expected a competition of one label a row, got the task 'regression'"):
        kk.sanity_checks(numbers, pd.Series([0, 1, 0, 1], index=numbers.train["image_id"]), quick_recipe)
