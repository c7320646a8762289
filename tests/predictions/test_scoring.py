"""The hidden answers score a submission; a plain model gives the number to beat."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kagglekit as kk
from kagglekit.competition import digits as digits_module


@pytest.fixture
def answers(digits):
    return pd.read_csv(digits.root / digits_module.ANSWERS, dtype=str)


def test_right_answers_score_one_and_each_error_costs_its_share(digits, answers, tmp_path):
    answers.sample(frac=1, random_state=0).to_csv(tmp_path / "right.csv", index=False)
    assert kk.score_submission(digits, tmp_path / "right.csv") == 1.0
    wrong = answers.assign(label=answers["label"].mask(answers.index < 9, "x"))
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    assert kk.score_submission(digits, tmp_path / "wrong.csv") == pytest.approx(351 / 360)


def test_written_submission_is_scored(digits, answers, tmp_path):
    path = kk.make_submission(digits, digits.sample_submission, path=tmp_path / "zeros.csv")
    assert kk.score_submission(digits, path) == pytest.approx((answers["label"] == "0").mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[1:], "bad.csv: the ids are not those of the answers: '00000'"),
        (
            lambda table: table.assign(id=table["id"].replace("00001", "1")),
            "are not those of the answers: '00001', '1'",
        ),
        (lambda table: pd.concat([table, table[:1]]), "id in .*bad.csv once, but '00000' occur more than once"),
    ],
)
def test_submission_of_other_rows_is_refused(digits, answers, tmp_path, change, message):
    change(answers).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(ValueError, match=message):
        kk.score_submission(digits, tmp_path / "bad.csv")


def test_competition_without_answers_has_no_score(make_competition):
    comp = kk.load_competition(make_competition())
    assert kk.score_submission(comp, comp.root / "sample_submission.csv") is None


def test_reference_model_learns_the_digits_whatever_the_order_of_the_folds(digits, digit_folds):
    # scikit-learn's example reaches 97 % on half of the digits; chance is 10 %.
    score = kk.reference_score(digits, digit_folds)
    assert 0.97 < score < 1
    assert kk.reference_score(digits, digit_folds[::-1]) == score


def test_reference_model_learns_nothing_where_there_is_nothing_to_learn(make_competition):
    folder = make_competition(labels=["cat", "dog"] * 12)
    for path in (folder / "train").iterdir():
        Image.fromarray(np.full((40, 48, 3), 127, np.uint8)).save(path)
    comp = kk.load_competition(folder)
    assert kk.reference_score(comp, kk.assign_folds(comp, 3)) == pytest.approx(0.5)
