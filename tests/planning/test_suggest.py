"""Suggested recipes fit what is in front of them, and say why."""

import numpy as np
import pytest

import kagglekit as kk


def test_tiny_grey_images_get_a_small_network_without_flips(digits):
    recipe = kk.suggest_recipe(digits)
    assert (recipe.backbone, recipe.weights, recipe.image_size, recipe.channels) == ("small_cnn", None, 16, 1)
    assert recipe.policy == "tiny"
    assert "too small for a pretrained network" in recipe.reasons["backbone"]


@pytest.mark.parametrize(
    ("size", "labels", "expected_size", "policy"),
    [
        ((300, 260), ("cat", "dog"), 224, "light"),
        ((100, 90), ("cat", "dog"), 128, "light"),
        ((300, 260), ("left_eye", "right_eye"), 224, "light_no_flip"),
        ((300, 260), ("a", "b"), 224, "light_no_flip"),
    ],
)
def test_photographs_get_a_pretrained_network_that_fits(make_competition, size, labels, expected_size, policy):
    folder = make_competition(ids=[f"i{n}" for n in range(12)], labels=[labels[n % 2] for n in range(12)], size=size)
    recipe = kk.suggest_recipe(kk.load_competition(folder))
    assert (recipe.backbone, recipe.weights, recipe.channels) == ("efficientnet_lite0", "imagenet", 3)
    assert recipe.image_size == expected_size
    assert recipe.policy == policy
    assert recipe.record_size == expected_size * 5 // 4
    assert recipe.reasons["policy"]


def test_more_effort_means_more_training(make_competition):
    comp = kk.load_competition(make_competition(size=(120, 120)))
    fast, standard, full = (kk.suggest_recipe(comp, effort) for effort in ("fast", "standard", "full"))
    assert fast.epochs == 0 < standard.epochs < full.epochs
    assert standard.unfrozen_layers < full.unfrozen_layers == 1
    assert full.first_sizes[0] < full.image_size


def test_an_unknown_effort_is_named_with_the_nearest(digits):
    with pytest.raises(ValueError, match=r"got 'standart'. Did you mean 'standard'\?"):
        kk.suggest_recipe(digits, "standart")


def test_a_plan_gives_minutes_disk_and_memory(digits, quick_recipe):
    table = kk.plan(digits, quick_recipe, n_splits=3).set_index("part")
    assert (table["value"] >= 0).all()
    assert set(table["unit"]) == {"minutes", "MB", "GB"}
    one = kk.plan(digits, quick_recipe.replace(epochs=400), n_splits=3).set_index("part")
    assert one.loc["in all", "value"] > table.loc["in all", "value"]


def test_large_images_of_four_channels_start_from_pretrained_weights(workspace):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 100, 90, 4), dtype=np.uint8)
    recipe = kk.suggest_recipe(kk.from_arrays(pixels, ["a", "b"] * 12, name="stacked"))
    assert (recipe.backbone, recipe.weights, recipe.channels) == ("efficientnet_lite0", "imagenet", 4)
    assert "3.4 million parameters, 75.1 % on ImageNet" in recipe.reasons["backbone"]
    assert recipe.reasons["channels"] == "4 files per image are stacked"
