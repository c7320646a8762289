"""What differs between train and test is found and named; what does not is left in peace."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import kagglekit as kk


@pytest.fixture(scope="module")
def report(digits):
    return kk.check_images(digits)


def with_columns(comp, train, test):
    return dataclasses.replace(comp, train=comp.train.assign(**train), test=comp.test.assign(**test))


def test_a_random_split_looks_alike(digits, report):
    shift = kk.adversarial_validation(digits, report)
    assert abs(shift.attrs["auc"] - 0.5) < 0.06
    assert shift.attrs["verdict"].startswith("train and test look alike")


def test_the_same_seed_gives_the_same_answer(digits, report):
    first, second = (kk.adversarial_validation(digits, report, seed=3) for _ in range(2))
    assert first.equals(second)
    assert first.attrs == second.attrs


def test_brighter_test_images_are_found_by_their_mean(digits, report):
    rng = np.random.default_rng(0)
    brightness = rng.normal(100, 10, len(report)) + 12 * (report["part"] == "test")
    shift = kk.adversarial_validation(digits, report.assign(mean_0=brightness))
    assert shift["column"][0] == "mean_0"
    # Two normal distributions 1.2 standard deviations apart: AUC = Phi(1.2 / sqrt(2)) = 0.80
    assert shift["auc"][0] == pytest.approx(0.80, abs=0.04)
    assert shift.attrs["auc"] == pytest.approx(0.80, abs=0.05)
    assert "given away by 'mean_0'" in shift.attrs["verdict"]
    assert shift["importance"].idxmax() == 0


def test_a_column_alone_does_not_beat_the_best_threshold_there_is(digits, report):
    """A tree that is scored on held-out rows has no better ranking than the values themselves where they shift."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, len(report)) + (report["part"] == "test")
    best = roc_auc_score(report["part"] == "test", values)
    shift = kk.adversarial_validation(digits, features=values.to_numpy()[:, None])
    assert best - 0.06 < shift["auc"][0] < best + 0.02


def test_metadata_give_it_away_and_are_named(digits, report):
    comp = with_columns(digits, {"site": np.resize(["a", "b"], 1437)}, {"site": np.resize(["b", "c"], 360)})
    for given in (report, None):
        shift = kk.adversarial_validation(comp, given)
        assert shift["column"][0] == "site"
        assert shift.attrs["auc"] > 0.8
        assert "differ clearly" in shift.attrs["verdict"]


def test_missing_cells_alone_give_it_away(digits, report):
    rng = np.random.default_rng(0)
    ages = rng.integers(20, 80, 1797).astype(str).astype(object)
    ages[1437 + rng.permutation(360)[:180]] = ""
    comp = with_columns(digits, {"age": ages[:1437]}, {"age": ages[1437:]})
    assert kk.adversarial_validation(comp, report)["column"][0] == "age"


def test_groups_do_not_count_because_they_differ_by_design(digits):
    comp = with_columns(digits, {"group": "a", "site": "x"}, {"group": "b", "site": "x"})
    shift = kk.adversarial_validation(comp)
    assert shift.empty
    assert shift.attrs["auc"] == 0.5
    assert "every column is constant" in shift.attrs["verdict"]


def test_two_weak_signs_that_only_count_together_are_said_to(digits):
    """Train and test differ in whether two signs agree, so that neither alone says anything."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (1797, 2))
    signs[1437:, 1] = signs[1437:, 0]
    signs[:1437, 1] = -signs[:1437, 0]
    shift = kk.adversarial_validation(digits, features=signs + rng.normal(0, 0.01, signs.shape))
    assert shift.attrs["auc"] > 0.9
    assert (shift["auc"] < 0.6).all()
    assert "none of them alone" in shift.attrs["verdict"]


def test_of_many_features_the_telling_ones_are_listed(digits):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1797, 60))
    features[1437:, 57] += 3
    shift = kk.adversarial_validation(digits, features=features)
    assert len(shift) == 40
    assert shift["column"][0] == "feature 57"


def test_few_test_rows_are_enough_to_run_and_prove_nothing(make_competition):
    comp = kk.load_competition(make_competition())
    shift = kk.adversarial_validation(comp, kk.check_images(comp))
    assert 0 <= shift.attrs["auc"] <= 1
    assert "look alike" in shift.attrs["verdict"] or "constant" in shift.attrs["verdict"]


def test_a_quarantined_competition_and_the_whole_report_fit(make_competition, workspace):
    folder = make_competition()
    (folder / "train" / "00003.jpg").write_bytes(b"no image")
    comp = kk.load_competition(folder)
    report = kk.check_images(comp)
    kk.adversarial_validation(kk.quarantine(comp, report), report)


def test_errors_say_what_to_do(digits, report):
    with pytest.raises(ValueError, match="expected train and test images to compare, got 0 test rows"):
        kk.adversarial_validation(dataclasses.replace(digits, test=digits.test.iloc[:0]), report)
    with pytest.raises(ValueError, match=r"share no metadata; pass report=kk.check_images"):
        kk.adversarial_validation(digits)
    with pytest.raises(ValueError, match=r"expected features of shape \(1797 train and test rows, columns\)"):
        kk.adversarial_validation(digits, features=np.zeros((1437, 4)))
    with pytest.raises(ValueError, match="the report lacks images"):
        kk.adversarial_validation(digits, report.iloc[10:])
