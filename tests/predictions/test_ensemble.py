"""Blending joins by id: whatever order the members' rows stand in, and never across differing rows or classes."""

import dataclasses

import numpy as np
import pytest

import kagglekit as kk
from kagglekit.predictions.ensemble import average_probabilities


@pytest.fixture
def comp(make_competition):
    return kk.load_competition(make_competition())


def make_member(comp, seed, **changes):
    """Return random predictions of every row of the competition, in its order."""
    rng = np.random.default_rng(seed)
    labels = comp.train["label"].map(comp.class_names.index).to_numpy()
    member = kk.Predictions(
        name=f"member{seed}",
        class_names=comp.class_names,
        oof_ids=comp.train["id"].to_numpy(),
        oof=rng.dirichlet(np.ones(3), len(comp.train)),
        oof_labels=labels,
        oof_folds=np.arange(len(comp.train)) % 5,
        test_ids=comp.test["id"].to_numpy(),
        test=rng.dirichlet(np.ones(3), len(comp.test)),
    )
    return dataclasses.replace(member, **changes)


def permuted(member, seed=7):
    """Return the same predictions with their rows in another order."""
    rng = np.random.default_rng(seed)
    oof, test = rng.permutation(len(member.oof)), rng.permutation(len(member.test))
    rows = {name: getattr(member, name)[oof] for name in ("oof_ids", "oof", "oof_labels", "oof_folds")}
    return dataclasses.replace(member, **rows, test_ids=member.test_ids[test], test=member.test[test])


def by_id(predictions, part):
    rows = zip(getattr(predictions, f"{part}_ids"), getattr(predictions, part), strict=True)
    return {identifier: row.tolist() for identifier, row in rows}


def test_worked_averages():
    pair = [[[0.9, 0.1], [0.0, 1.0]], [[0.5, 0.5], [1.0, 0.0]]]
    np.testing.assert_allclose(average_probabilities(pair), [[0.7, 0.3], [0.5, 0.5]])
    # Weights 3 : 1 are 3/4 and 1/4: 3/4 x 0.9 + 1/4 x 0.5 = 0.8.
    np.testing.assert_allclose(average_probabilities(pair, [3, 1]), [[0.8, 0.2], [0.25, 0.75]])
    np.testing.assert_array_equal(average_probabilities(pair, [0, 2]), pair[1])


def test_average_agrees_with_numpy_and_sums_to_one():
    rng = np.random.default_rng(0)
    probabilities, weights = rng.dirichlet(np.ones(4), (3, 10)), rng.uniform(0, 5, 3)
    averaged = average_probabilities(probabilities, weights)
    np.testing.assert_allclose(averaged, np.average(probabilities, axis=0, weights=weights), rtol=1e-12)
    np.testing.assert_allclose(averaged.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(averaged, average_probabilities(probabilities[::-1], weights[::-1]), rtol=1e-12)


@pytest.mark.parametrize("weights", [[1.0], [1, 1, 1], [2, -1], [0, 0], [[1, 1]]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="expected 2 weights, none negative and not all zero, got"):
        average_probabilities([[[0.9, 0.1]], [[0.5, 0.5]]], weights)


def test_blend_is_the_mean_of_each_ids_rows(comp):
    first, second = make_member(comp, 1), make_member(comp, 2)
    blended = kk.blend(comp, [first, second], name="both")
    np.testing.assert_allclose(blended.oof, (first.oof + second.oof) / 2)
    np.testing.assert_allclose(blended.test, (first.test + second.test) / 2)
    assert blended.test_ids.tolist() == comp.test["id"].tolist()
    assert blended.oof_labels.tolist() == first.oof_labels.tolist()
    assert blended.name == "both"
    assert [(member["name"], member["weight"]) for member in blended.info["members"]] == [
        ("member1", 0.5),
        ("member2", 0.5),
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_order_of_a_members_rows_changes_nothing(comp, which):
    members = [make_member(comp, seed) for seed in range(3)]
    expected = kk.blend(comp, members)
    members[which] = permuted(members[which])
    blended = kk.blend(comp, members)
    assert by_id(blended, "oof") == by_id(expected, "oof")
    assert by_id(blended, "test") == by_id(expected, "test")
    assert blended.score == expected.score
    labels = dict(zip(expected.oof_ids, expected.oof_labels, strict=True))
    assert dict(zip(blended.oof_ids, blended.oof_labels, strict=True)) == labels


def test_order_of_members_changes_nothing(comp):
    members = [make_member(comp, seed) for seed in range(3)]
    np.testing.assert_allclose(kk.blend(comp, members).oof, kk.blend(comp, members[::-1]).oof, rtol=1e-12)


def test_blend_of_one_member_is_that_member(comp):
    member = permuted(make_member(comp, 1))
    blended = kk.blend(comp, [member])
    assert by_id(blended, "test") == by_id(member, "test")
    assert blended.score == member.score


def test_members_without_out_of_fold_rows_blend_without_a_score(comp):
    none = {"oof_ids": [], "oof": [], "oof_labels": np.array([], int), "oof_folds": np.array([], int)}
    blended = kk.blend(comp, [make_member(comp, seed, **none) for seed in range(2)])
    assert blended.score is None
    assert blended.test.shape == (3, 3)


def renamed(ids, old, new):
    return np.array([new if identifier == old else identifier for identifier in ids])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda member: {"test_ids": renamed(member.test_ids, "y", "w")},
            r"member2: the test ids do not match: 1 missing \('y'\), 1 foreign \('w'\)",
        ),
        (
            lambda member: {"test_ids": member.test_ids[:2], "test": member.test[:2]},
            r"member2: the test ids do not match: 1 missing \('z'\), 0 foreign \(\)",
        ),
        (
            lambda member: {"oof_ids": renamed(member.oof_ids, "00003", "3")},
            r"member2: the oof ids do not match: 1 missing \('00003'\), 1 foreign \('3'\)",
        ),
        (
            lambda member: {"oof_ids": [], "oof": [], "oof_labels": [], "oof_folds": []},
            "member2: the oof ids do not match: 24 missing .'00000', .* and 19 more",
        ),
        (
            lambda member: {"oof_labels": (member.oof_labels + (member.oof_ids == "00003")) % 3},
            "member2 and member1 give different labels to '00003'",
        ),
        (
            lambda member: {"class_names": ["cat", "elk", "dog"]},
            r"member2 has the classes \['cat', 'elk', 'dog'\], the competition \['cat', 'dog', 'owl'\]",
        ),
    ],
    ids=["foreign test id", "missing test id", "foreign train id", "no train ids", "other label", "other classes"],
)
def test_members_that_do_not_match_are_refused_by_name(comp, change, message):
    second = make_member(comp, 2)
    with pytest.raises(ValueError, match=message):
        kk.blend(comp, [make_member(comp, 1), dataclasses.replace(second, **change(second))])


def test_members_may_have_their_classes_in_another_order(comp):
    first, second = make_member(comp, 1), make_member(comp, 2)
    order = [2, 0, 1]
    turned = dataclasses.replace(
        second,
        class_names=[second.class_names[place] for place in order],
        oof=second.oof[:, order],
        test=second.test[:, order],
        oof_labels=np.argsort(order)[second.oof_labels],
    )
    expected, found = kk.blend(comp, [first, second]), kk.blend(comp, [first, turned])
    assert found.score == expected.score
    np.testing.assert_array_equal(found.test, expected.test)


def test_nothing_to_blend_and_unknown_method_are_refused(comp):
    with pytest.raises(ValueError, match=r"at least one Predictions to blend, got none; make one with kk.predict"):
        kk.blend(comp, [])
    with pytest.raises(ValueError, match=r"expected method to be one of 'mean', got 'meen'. Did you mean 'mean'\?"):
        kk.blend(comp, [make_member(comp, 1)], method="meen")
