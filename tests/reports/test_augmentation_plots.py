"""Figures of augmentation show what training is fed, for images of every kind."""

from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

mpl.use("Agg")
import matplotlib.pyplot as plt

import kagglekit as kk
from kagglekit.augment import OPS
from kagglekit.pipeline.order import EpochOrder
from kagglekit.pipeline.samples import Samples

PHOTO = load_sample_images().images[0][:128, :160]
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_baseline.ipynb"
RECIPE = kk.Recipe(
    backbone="small_cnn", weights=None, image_size=(24, 32), record_size=64, batch_size=4, policy="standard"
)
KINDS = [(1, np.uint8), (3, np.uint8), (4, np.uint8), (6, np.uint8), (1, np.uint16), (6, np.uint16)]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make_records(channels=3, dtype=np.uint8, rows=8):
    """Records of parts of a photograph; of 16 bits they use two thirds of the range."""
    planes = np.dstack([np.roll(PHOTO, shift, axis=1) for shift in range(0, 20, 10)])[..., :channels]
    gain = 1 if dtype == np.uint8 else 150  # of 257
    images = [np.roll(planes, 5 * row, axis=0).astype(dtype) * dtype(gain) for row in range(rows)]
    comp = kk.from_arrays(images, [str(row % 2) for row in range(rows)], name=f"kind{channels}{np.dtype(dtype)}")
    return kk.write_records(comp, [row % 2 for row in range(rows)], record_size=64)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("resize", ["squash", "short_side_crop", "letterbox"])
@pytest.mark.parametrize("policy", ["none", "standard", "strong"])
def test_a_sample_is_what_training_is_fed(workspace, resize, policy):
    records, recipe = make_records(), RECIPE.replace(resize=resize, policy=policy, augment_strength=0.7)
    samples, labels = Samples(records, recipe, [0, 1]), records.index([0, 1])["label"]
    order = EpochOrder(np.ones(8), labels, records.mean_bytes([0, 1]), batch_size=recipe.batch_size, seed=recipe.seed)
    for epoch in (0, 3):
        batches = kk.train_dataset(records, recipe, [0, 1], start_epoch=epoch, epochs=1)
        fed = np.concatenate([images for images, _ in batches])
        rows = np.concatenate([order.batch(epoch, number)[0] for number in range(order.steps)])
        for image, row in zip(fed, rows, strict=True):
            np.testing.assert_array_equal(samples.trained(row, epoch), image)


@pytest.mark.parametrize("resize", ["squash", "short_side_crop", "letterbox"])
def test_a_plain_sample_is_what_evaluation_is_fed(workspace, resize):
    records, recipe = make_records(), RECIPE.replace(resize=resize)
    samples = Samples(records, recipe, [0, 1])
    fed = np.concatenate([images for images, *_ in kk.eval_dataset(records, recipe, [0, 1])])
    np.testing.assert_array_equal(fed, [samples.evaluated(row) for row in range(8)])


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_augmentations_stand_below_the_stored_images(workspace, channels, dtype):
    records, recipe = make_records(channels, dtype), RECIPE.replace(channels=channels)
    axes = kk.plot_augmentations(records, recipe, images=3, epochs=2)
    assert axes.shape == (3, 3)
    samples = Samples(records, recipe, 0)
    shown = min(channels, 3)
    for ax, row in zip(axes[0], [0, 2, 3], strict=True):
        stored = samples.stored(row)[..., :shown].squeeze()
        if dtype == np.uint8:
            np.testing.assert_array_equal(drawn(ax), stored)
        else:
            assert drawn(ax).max() == 255
    trained = samples.trained(2, 1)[..., :shown].squeeze()
    gain = 1 if dtype == np.uint8 else 255 / samples.stored(2).max()
    np.testing.assert_array_equal(drawn(axes[2, 1]), (trained * np.float32(gain)).clip(0, 255).round())
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["stored", "epoch 1", "epoch 2"]


def test_a_fold_of_few_images_has_few_columns_and_a_policy_of_ops_is_spelt_out(workspace):
    recipe = RECIPE.replace(policy=[["rotation", 15], ["hue", 0.1]], mix="mixup")
    axes = kk.plot_augmentations(make_records(rows=4), recipe, images=9, epochs=1)
    assert axes.shape == (2, 2)
    title = axes[0, 0].figure.get_suptitle()
    assert title == "Policy rotation 15, hue 0.1 at strength 1 (before mixup)"


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
def test_every_op_is_drawn_and_changes_the_image_or_says_that_it_does_not(workspace, channels, dtype):
    records = make_records(channels, dtype)
    axes = kk.plot_ops(records, RECIPE.replace(channels=channels, image_size=48))
    titles = [ax.get_title().split("\n") for ax in axes]
    assert [name.replace("autoaug_", "autoaugment_") for name, _ in titles[1:]] == list(OPS)
    silent = {name for name, said in titles[1:] if said == f"not for {channels} channel{'s' * (channels > 1)}"}
    assert silent == {name for name, op in OPS.items() if channels not in op.channels}
    assert [said for _, said in titles].count("leaves it") == 0


def test_chosen_ops_of_a_chosen_image_are_drawn(workspace):
    records = make_records()
    axes = kk.plot_ops(records, RECIPE, image_id="train_3", ops=["flip_horizontal", "invert"])
    assert axes[0].get_title() == "train_3\nas it is"
    np.testing.assert_allclose(drawn(axes[1]), drawn(axes[0])[:, ::-1].astype(int), atol=1)
    with pytest.raises(ValueError, match="Did you mean 'hue'"):
        kk.plot_ops(records, RECIPE, ops=["hues"])
    with pytest.raises(ValueError, match="no training image 'train_9'"):
        kk.plot_ops(records, RECIPE, image_id="train_9")


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint8), (6, np.uint8), (6, np.uint16)])
def test_the_baseline_notebook_shows_the_suggested_policy_on_rows_of_any_competition(workspace, channels, dtype):
    planes = np.concatenate([PHOTO, PHOTO[::-1]], axis=2)[..., :channels].astype(dtype)
    images = [np.roll(planes, 5 * row, axis=0) for row in range(12)]
    comp = kk.from_arrays(images, [str(row % 2) for row in range(12)], name="any")
    names = {"kk": kk, "comp": comp, "folds": kk.assign_folds(comp, 2), "recipe": kk.suggest_recipe(comp)}
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    (source,) = (cell.source for cell in cells if cell.cell_type == "code" and "plot_augmentations" in cell.source)
    exec(source, names)
    figure = plt.gcf()
    assert len(figure.axes) == 4 * 6
    assert all(len(ax.images) == 1 for ax in figure.axes)
    assert figure.get_suptitle().startswith(f"Policy {names['recipe'].policy} at strength 1")
