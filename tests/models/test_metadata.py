"""What the table says beside the pixels: gaps, values never seen, and a saved model that needs Keras alone."""

import keras
import numpy as np
import pandas as pd
import pytest

from kagglekit.models.heads import add_head, build_extractor
from kagglekit.models.metadata import add_metadata
from kagglekit.pipeline.metadata import MetadataEncoder

TABLE = pd.DataFrame(
    {
        "age": [20.0, 40.0, None, 60.0],
        "dose": ["1", "2", "3", ""],  # as read with dtype=str
        "site": ["arm", "leg", None, "arm"],
        "code": [1.0, 2.0, np.nan, 1.0],
    }
)


def encoder(numeric=("age", "dose"), categorical=("site", "code")):
    return MetadataEncoder(numeric, categorical).fit(TABLE)


def test_gaps_and_unknown_values_have_numbers_of_their_own():
    other = pd.DataFrame({"age": [None], "dose": ["x"], "site": ["nose"], "code": [2]})  # whole numbers, for once
    with pytest.warns(UserWarning, match=r"1 of 5 cells of column 'dose' are not numbers and count as missing: 'x'"):
        arrays = encoder().transform(pd.concat([TABLE, other], ignore_index=True))
    np.testing.assert_array_equal(arrays["numbers"][:, 0], [20, 40, np.nan, 60, np.nan])
    np.testing.assert_array_equal(arrays["numbers"][:, 1], [1, 2, 3, np.nan, np.nan])
    assert arrays["categories"].tolist() == [[2, 2], [3, 3], [0, 0], [2, 2], [1, 3]]
    assert (arrays["numbers"].dtype, arrays["categories"].dtype) == (np.float32, np.int32)


def test_what_was_learnt_depends_on_the_training_rows_alone():
    learnt = encoder()
    assert learnt.means_ == [40, 2]
    np.testing.assert_allclose(learnt.deviations_, [np.std([20, 40, 60]), np.std([1, 2, 3])], rtol=1e-6)
    assert learnt.vocabularies_ == [["arm", "leg"], ["1", "2"]]


def test_a_column_that_never_varied_is_no_explosion_when_it_does():
    learnt = MetadataEncoder(["year"]).fit(pd.DataFrame({"year": ["2019", "2019", ""]}))
    joined = add_metadata(build_extractor("small_cnn", weights=None, image_size=16), learnt)
    branch = keras.Model(joined.input, joined.get_layer("numbers_normalise").output)
    arrays = {"pixels": np.zeros((1, 16, 16, 3), np.float32), **learnt.transform(pd.DataFrame({"year": ["2020"]}))}
    assert branch(arrays).numpy().tolist() == [[1]]


def test_half_precision_keeps_the_numbers_apart():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        learnt = MetadataEncoder(["year"]).fit(pd.DataFrame({"year": ["2018", "2019", "2020"]}))
        joined = add_metadata(build_extractor("small_cnn", weights=None, image_size=16), learnt)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    branch = keras.Model(joined.input, joined.get_layer("numbers_normalise").output)
    arrays = {"pixels": np.zeros((2, 16, 16, 3), np.float32)}
    arrays |= learnt.transform(pd.DataFrame({"year": ["2018", "2019"]}))
    np.testing.assert_allclose(branch(arrays).numpy()[:, 0], [-np.sqrt(1.5), 0], atol=1e-5)


@pytest.fixture(scope="module")
def model():
    extractor = build_extractor("small_cnn", weights=None, image_size=16)
    return add_head(add_metadata(extractor, encoder()), 3)


def inputs(table, rows=None):
    pixels = np.random.default_rng(0).uniform(0, 255, (rows or len(table), 16, 16, 3)).astype(np.float32)
    return {"pixels": pixels, **encoder().transform(table)}


def test_numbers_are_standardised_and_a_gap_is_the_mean_with_a_mark(model):
    branch = keras.Model(model.input, model.get_layer("metadata").output)
    numbers = branch(inputs(TABLE)).numpy()[:, :4]
    deviation = np.std([20, 40, 60])
    np.testing.assert_allclose(numbers[:, 0], [-20 / deviation, 0, 0, 20 / deviation], atol=1e-5)
    np.testing.assert_array_equal(numbers[:, 2:], [[0, 0], [0, 0], [1, 0], [0, 1]])


def test_a_network_learns_from_the_columns_what_the_pixels_do_not_say(model, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.uniform(0, 90, 96), "dose": "1", "site": rng.choice(["arm", "leg"], 96), "code": 1}
    )
    labels = np.eye(3, dtype=np.float32)[(table["site"] == "leg").astype(int) + (table["age"] > 45)]
    arrays = inputs(table)
    model.compile(optimizer=keras.optimizers.Adam(0.03), loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(arrays, labels, epochs=25, batch_size=32, verbose=0)
    assert model.evaluate(arrays, labels, verbose=0)[1] > 0.9
    probabilities = model.predict(arrays, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(loaded.predict(arrays, verbose=0), probabilities, atol=1e-6)
    assert not [layer for layer in loaded.layers if type(layer).__module__.startswith("kagglekit")]
    unseen = inputs(pd.DataFrame({"age": [None], "dose": [None], "site": ["nose"], "code": [None]}))
    assert np.isfinite(model.predict(unseen, verbose=0)).all()


@pytest.mark.parametrize(("numeric", "categorical"), [(("age",), ()), ((), ("site",))])
def test_one_kind_of_columns_is_enough(numeric, categorical):
    chosen = encoder(numeric, categorical)
    joined = add_metadata(build_extractor("small_cnn", weights=None, image_size=16), chosen)
    arrays = {"pixels": np.zeros((4, 16, 16, 3), np.float32), **chosen.transform(TABLE)}
    assert joined(arrays).shape == (4, 96 + 32)


def test_columns_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one numeric or categorical column, got none"):
        MetadataEncoder().fit(TABLE)
    with pytest.raises(ValueError, match="column 'age' holds no number; leave it out"):
        MetadataEncoder(["age"]).fit(pd.DataFrame({"age": [None, "x"]}))
