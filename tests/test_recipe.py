"""Every knob of a run: read, changed, compared and written without a surprise."""

import dataclasses
import hashlib
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml

import kagglekit as kk
from kagglekit._backbones import hub_presets

CHANGED = {
    "name": "müde",
    "backbone": "small_cnn",
    "weights": None,
    "image_size": (32, 48),
    "channels": 1,
    "resize": "letterbox",
    "record_size": 60,
    "preprocess": ("circle_crop", ("ben_graham", {"radius": 99})),
    "numeric": ("age", "größe"),
    "categorical": ("site",),
    "batch_size": 7,
    "policy": "strong",
    "augment_strength": 0.5,
    "augment_warmup": 2,
    "mix": "cutmix",
    "unmixed_epochs": 1,
    "sampling": {"cat": 2.0},
    "subset": 0.5,
    "class_weights": "effective_number",
    "frozen_epochs": 0,
    "frozen_learning_rate": 1e-7,
    "frozen_views": 2,
    "epochs": 9,
    "learning_rate": 0.1,
    "first_sizes": (16, 24),
    "unfrozen_layers": (0.2, 1.0),
    "dropout": 0.0,
    "pooling": "max",
    "head": "ordinal",
    "neck": "batch_norm",
    "multi_dropout": 5,
    "activation": "gelu",
    "initializer": "glorot_uniform",
    "loss": "focal",
    "label_smoothing": 0.3,
    "optimizer": "lion",
    "patience": 3,
    "weight_decay": 1e-5,
    "clip": 1.0,
    "layer_decay": 0.9,
    "ema": 0.99,
    "schedule": "one_cycle",
    "warmup": 0.25,
    "seed": 12,
}
TOGETHER = CHANGED | {"mix": "none"}  # what columns say cannot be mixed
KNOBS = [field.name for field in dataclasses.fields(kk.Recipe)]


def test_the_changed_values_cover_every_knob():
    assert [*CHANGED, "reasons"] == [knob for knob in KNOBS if knob != "cached_views"]  # which forbids some others
    default = kk.Recipe()
    assert not [knob for knob, value in CHANGED.items() if getattr(default, knob) == value]


@pytest.mark.parametrize(
    "recipe", [kk.Recipe(), kk.Recipe(**TOGETHER, reasons={"epochs": "weil: ja"}), kk.Recipe(cached_views=2)]
)
def test_yaml_round_trip_keeps_everything(tmp_path, recipe):
    path = recipe.to_yaml(tmp_path / "new" / "recipe.yaml")
    again = kk.Recipe.from_yaml(path)
    assert again == recipe
    assert again.hash == recipe.hash
    assert again.reasons == recipe.reasons
    assert isinstance(again.image_size, type(recipe.image_size))
    assert [file.name for file in path.parent.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"first_sizes": (160,), "image_size": 128}, r"expected first_sizes of at most image_size, 128, got \[160\]"),
        (
            {"first_sizes": (96, 128), "epochs": 2},
            "expected epochs of 3 or more, one for each step of first_sizes, got 2",
        ),
        (
            {"unfrozen_layers": (0.2, 0.5, 1.0)},
            "expected epochs of 3 or more, one for each step of unfrozen_layers, got",
        ),
    ],
)
def test_steps_that_would_not_come_are_refused(knobs, message):
    with pytest.raises(ValueError, match=message):
        kk.Recipe(**knobs)


def test_numbers_of_numpy_are_numbers(tmp_path):
    numbers = {
        "seed": np.arange(3)[2],
        "dropout": np.float64(0.25),
        "image_size": (np.int64(32), np.int64(48)),
        "unfrozen_layers": np.linspace(0.25, 0.75, 3),
        "epochs": np.int32(3),
        "sampling": {"cat": np.float64(2)},
    }
    known = {"seed": 2, "dropout": 0.25, "image_size": (32, 48), "unfrozen_layers": (0.25, 0.5, 0.75), "epochs": 3}
    expected = kk.Recipe(sampling={"cat": 2.0}, **known)
    recipe = kk.Recipe(**numbers)
    assert recipe == expected
    assert recipe.hash == expected.hash
    assert (type(recipe.seed), type(recipe.dropout)) == (int, float)
    recipe.to_yaml(tmp_path / "recipe.yaml")
    assert kk.Recipe.from_yaml(tmp_path / "recipe.yaml") == expected


def test_dict_round_trip_holds_plain_values_alone():
    recipe = kk.Recipe(**TOGETHER)
    assert kk.Recipe.from_dict(recipe.to_dict()) == recipe
    assert yaml.safe_load(yaml.safe_dump(recipe.to_dict())) == recipe.to_dict()


@pytest.mark.parametrize("text", ["3e-4", "3E-4", "0.0003", "3.0e-4", "'0.0003'"])
def test_hand_written_numbers_are_numbers(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(f"learning_rate: {text}\nimage_size: [32, 48]\n")
    recipe = kk.Recipe.from_yaml(tmp_path / "recipe.yaml")
    assert recipe == kk.Recipe(learning_rate=3e-4, image_size=(32, 48))
    assert recipe.hash == kk.Recipe(image_size=(32, 48)).hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochz: 3", r"recipe.yaml: a recipe has no knob 'epochz'. Did you mean 'epochs'\?"),
        ("learning_rate: fast", "recipe.yaml: expected learning_rate to be a( whole)? number from 0 to 10, got 'fast'"),
        ("dropout: 1.5", "recipe.yaml: expected dropout to be a( whole)? number from 0 to 0.99, got 1.5"),
        ("first_sizes: 128", "recipe.yaml: expected first_sizes to be a list of integers of 8 pixels or more, got 128"),
        ("1: 2", "recipe.yaml: a recipe has no knob 1"),
        ("", "expected lines `knob: value` in .*recipe.yaml, got NoneType"),
        ("- epochs", "expected lines `knob: value` in .*recipe.yaml, got list"),
    ],
)
def test_errors_of_a_file_name_the_file(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        kk.Recipe.from_yaml(tmp_path / "recipe.yaml")


def test_yaml_makes_no_objects(tmp_path):
    (tmp_path / "recipe.yaml").write_text(f"name: !!python/object/apply:os.mkdir [{tmp_path / 'sprung'}]\n")
    with pytest.raises(ValueError, match="recipe.yaml is not valid YAML: could not determine a constructor"):
        kk.Recipe.from_yaml(tmp_path / "recipe.yaml")
    assert os.listdir(tmp_path) == ["recipe.yaml"]


@pytest.mark.parametrize("knob", CHANGED)
def test_replace_changes_a_copy_and_hash_tells_all_but_names(knob):
    recipe = kk.Recipe(epochs=3)  # one for each of the sizes
    changed = recipe.replace(**{knob: CHANGED[knob]})
    assert recipe == kk.Recipe(epochs=3)
    assert getattr(changed, knob) == CHANGED[knob]
    assert (changed.hash == recipe.hash) == (knob == "name")
    assert changed.replace(**{knob: getattr(recipe, knob)}) == recipe


def test_hash_ignores_name_and_reasons():
    recipe = kk.Recipe(**TOGETHER)
    assert recipe.replace(name="other", reasons={"epochs": "because"}).hash == recipe.hash
    assert len(recipe.hash) == 8
    assert recipe.replace(reasons={"epochs": "because"}) == recipe
    # Folders of runs are named after it, so it is derived from the values alone.
    values = {knob: value for knob, value in recipe.to_dict().items() if knob not in ("name", "reasons")}
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    assert recipe.hash == hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("image_size", 7, r"image_size to be an integer or \(height, width\), 8 pixels or more, got 7"),
        ("image_size", (32, 7), r"8 pixels or more, got \(32, 7\)"),
        ("image_size", [32, 32, 3], r"got \[32, 32, 3\]"),
        ("image_size", 32.0, "got 32.0"),
        ("image_size", "224", "got '224'"),
        ("numeric", "age", r"numeric to be a list of names like \['age'\], got 'age'"),
        ("channels", 0, "channels to be a whole number from 1 to 64, got 0"),
        ("resize", "crop", "resize to be one of 'squash', 'short_side_crop', 'letterbox', got 'crop'"),
        (
            "preprocess",
            ["circle_crp"],
            "each step of preprocess .*, got 'circle_crp'. Did you mean 'circle_crop'",
        ),
        ("preprocess", [("ben_grahm", {"radius": 9})], "got 'ben_grahm'. Did you mean 'ben_graham'"),
        ("preprocess", [3], r"preprocess to be a list of names like \['circle_crop'\], or of pairs .*, got \[3\]"),
        ("numeric", [("age", {})], r"numeric to be a list of names like \['age'\], got \[\('age', {}\)\]"),
        ("initializer", "he_norml", "initializer to be one of .*, got 'he_norml'. Did you mean 'he_normal'"),
        ("policy", "lite", "policy to be one of 'none', .*, got 'lite'. Did you mean 'light'"),
        ("policy", [("rotaton", 15)], "the op in a policy to be one of .*, got 'rotaton'. Did you mean 'rotation'"),
        ("policy", [("rotation", -15)], "strength of 'rotation' to be a number not below 0, got -15"),
        ("policy", ["rotation", 15], r"each entry of a policy to be a pair like \('rotation', 15\), got 'rotation'"),
        ("policy", {"rotation": 15}, "policy to be a name or a list of .* pairs, got {'rotation': 15}"),
        ("mix", "mixupp", "mix to be one of .*, got 'mixupp'. Did you mean 'mixup'"),
        ("mix", ["mixup"], r"mix to be one of .*, got \['mixup'\]"),
        ("sampling", "balance", "got 'balance'. Did you mean 'balanced'"),
        ("class_weights", "inverse", "got 'inverse'. Did you mean 'inverse_frequency'"),
        ("subset", 0, "subset to be a number from 0.001 to 1, got 0"),
        ("pooling", "mean", "pooling to be one of 'avg', 'max', 'concat', 'gem', got 'mean'"),
        ("head", "cosin", "got 'cosin'. Did you mean 'cosine'"),
        ("neck", "norm", "neck to be one of 'none', 'batch_norm', got 'norm'"),
        ("activation", "elu", "activation to be one of 'relu', 'swish', 'gelu', got 'elu'"),
        ("multi_dropout", 0, "multi_dropout to be a whole number from 1 to 16, got 0"),
        ("batch_size", 0, "batch_size to be a( whole)? number from 1 to 65536, got 0"),
        ("record_size", 5000, "record_size to be a( whole)? number from 8 to 4096, got 5000"),
        ("learning_rate", -1e-3, "learning_rate to be a( whole)? number from 0 to 10, got -0.001"),
        ("learning_rate", float("nan"), "learning_rate to be a( whole)? number from 0 to 10, got nan"),
        ("dropout", 1, "dropout to be a( whole)? number from 0 to 0.99, got 1"),
        ("label_smoothing", "0.1", "label_smoothing to be a( whole)? number from 0 to 0.99, got '0.1'"),
        ("unfrozen_layers", 1.01, "unfrozen_layers to be a( whole)? number from 0 to 1, got 1.01"),
        ("warmup", None, "warmup to be a( whole)? number from 0 to 1, got None"),
        ("epochs", True, "epochs to be a( whole)? number from 0 to 10000, got True"),
        ("seed", -1, "seed to be a( whole)? number from 0 to 2.14748e.09, got -1"),
    ],
)
def test_values_out_of_range_are_refused(knob, value, message):
    with pytest.raises(ValueError, match=f"expected .*{message}"):
        kk.Recipe(**{knob: value})


@pytest.fixture
def hub_alone(tmp_path, monkeypatch):
    """Return a function that says which presets a keras-hub installed here lists: none where it is not installed."""

    def install(*presets):
        folder = tmp_path / "keras_hub" / "src" / "models" / "resnet"
        folder.mkdir(parents=True)
        (tmp_path / "keras_hub" / "__init__.py").write_text("raise AssertionError('imported')\n")
        lines = [f'    "{name}": {{\n        "kaggle_handle": "kaggle://{name}/3",\n    }},\n' for name in presets]
        (folder / "resnet_presets.py").write_text("backbone_presets = {\n" + "".join(lines) + "}\n")
        monkeypatch.syspath_prepend(tmp_path)

    hub_presets.cache_clear()
    yield install
    hub_presets.cache_clear()


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("efficientnet_lite_0", "efficientnet_lite0"), ("efficentnet_b0", "efficientnet_b0"),
        ("mobilenet_v3_smal", "mobilenet_v3_small"), ("ResNet101V3", "ResNet101V2"), ("VGG17", "VGG1[69]"),
        ("small-cnn ", "small_cnn"), (None, None), (3, None),
    ],
)  # fmt: skip
def test_a_backbone_that_is_none_is_answered_with_the_nearest(name, close):
    with pytest.raises(ValueError, match=f"no backbone {name!r}" + rf"\. Did you mean '{close}'\?" * bool(close)):
        kk.Recipe(backbone=name)


def test_every_way_of_writing_a_backbone_is_known():
    for name in ("resnet18", "EfficientNetB0", "resnet_101_v2", "vgg16", "kaggle://keras/resnetv1/keras/x", "hf://a/b"):
        assert kk.Recipe(backbone=name).backbone == name


def test_presets_of_keras_hub_are_known_without_importing_it_and_others_are_refused(hub_alone):
    hub_alone("resnet_18_imagenet", "resnet_50_imagenet")
    assert kk.Recipe(backbone="resnet_18_imagenet").backbone == "resnet_18_imagenet"
    with pytest.raises(ValueError, match="no backbone 'resnet_18_imagnet'. Did you mean 'resnet_18_imagenet'"):
        kk.Recipe(backbone="resnet_18_imagnet")


@pytest.mark.skipif(importlib.util.find_spec("keras_hub") is not None, reason="its presets are known here")
def test_where_keras_hub_is_not_installed_a_name_in_the_form_of_its_presets_is_for_another_machine():
    for name in ("vit_base_patch16_224_imagenet", "dinov2_base", "efficientnet_b0_ra_imagenet", "resnet_50_imagenet"):
        assert kk.Recipe(backbone=name).backbone == name
    for name in ("transformer", "Vit_Base", "vit base", "_imagenet"):
        with pytest.raises(ValueError, match="no backbone"):
            kk.Recipe(backbone=name)


def test_a_recipe_is_checked_without_any_framework():
    heavy = ("tensorflow", "keras", "jax", "matplotlib", "pandas", "sklearn", "scipy", "keras_hub")
    code = f"import sys, kagglekit as kk; kk.Recipe(); print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_recipe_trains_at_least_one_epoch_and_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen_epochs or epochs to be at least 1, got 0 for both"):
        kk.Recipe(epochs=0, frozen_epochs=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kk.Recipe().epochs = 5


def test_unknown_knob_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"no knob 'learning_rates'. Did you mean 'learning_rate'\?"):
        kk.Recipe().replace(learning_rates=1e-3)


def test_notebook_view_shows_every_knob_its_reason_and_no_markup_of_the_users():
    shown = kk.Recipe(name="b-x", reasons={"epochs": "<i>few</i> images"})._repr_html_()
    assert all(f"<code>{knob}</code>" in shown for knob in CHANGED)
    assert "&lt;i&gt;few&lt;/i&gt; images" in shown
