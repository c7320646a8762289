"""Every knob of a run, flat, with its unit."""

import contextlib
import dataclasses
import re
from pathlib import Path

import yaml

from kagglekit._checks import check_choice, nearest
from kagglekit._files import content_hash, written_whole


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run does, as flat values that can be read, compared, searched and written to YAML.

    `kk.suggest_recipe(comp)` fills one in for a competition; `recipe.replace(epochs=5)` changes a copy.

    Args:
        name: short name of the run's folder.
        backbone: a name that `kk.list_backbones()` lists, a class of keras.applications or a preset of keras-hub.
        weights: `"imagenet"`, `None` (random) or the path of a weights file or its folder.
        image_size: height and width of the network's input, pixels; an integer stands for a square.
        channels: 1, 3, or the number of files of a row that are stacked.
        resize: `"squash"` (both sides to the network's, whatever the shape), `"short_side_crop"` (the largest part of
            the network's shape: its middle in evaluation, anywhere in training) or `"letterbox"` (all of it, and grey).
        record_size: short side of the stored images, pixels; larger images are reduced once, none is enlarged.
        preprocess: what is done to every picture, of train and test, when records are written, as in
            `kk.write_records`: a list of names, or of pairs of a name and a dict of arguments. An exported network does
            not contain it: do the same to what it is given.
        numeric, categorical: names of columns of train and test that the network sees beside the pixels, as numbers and
            as categories; gaps and values that training never saw are allowed. Their pictures cannot be mixed.
        batch_size: images a step.
        policy: name of an augmentation policy, see `kagglekit.inputs.augment.POLICIES`, or a list of ops with their
            strengths such as `[["flip_horizontal", 0.5], ["rotation", 15]]`.
        mix: `"none"`, or how pictures of a batch are mixed with their labels, see `kagglekit.inputs.mix.MIXES`.
        augment_strength: factor on the policy's strengths; 0 switches it off, 1 is the policy as it stands.
        augment_warmup: epochs of fine-tuning over which the strength rises to that, in equal steps; 0 for none.
        unmixed_epochs: last epochs, in which nothing is mixed.
        sampling: how often an epoch sees the classes: `"none"` (every row once), `"label_shuffling"`, `"balanced"`,
            `"square_root"`, or a mapping from class names to factors, see `kagglekit.inputs.sampling`.
        subset: share of the rows that an epoch sees, another part each time; more than 0 and at most 1.
        class_weights: `"none"`, `"inverse_frequency"` or `"effective_number"`: a row's weight in the loss.
        frozen_epochs: epochs that train the head alone while the backbone stays as it was loaded.
        frozen_learning_rate: peak learning rate of that stage.
        frozen_views: augmented passes over the images that the frozen stage sees beside the images as they are; each
            costs one pass of the backbone.
        epochs: epochs of fine-tuning (or of training from scratch).
        learning_rate: peak learning rate of fine-tuning.
        first_sizes: image sizes that fine-tuning begins with, such as `(128, 160)`, for equal parts of its epochs:
            small pictures cost a fraction and regularise.
        unfrozen_layers: share of the backbone's layers, counted from the head, that fine-tuning trains, 0 to 1; several
            such as `(0.2, 0.5, 1.0)`, which must not fall, unfreeze it step by step, for equal parts of the epochs.
        cached_views: keep what the layers below the trained ones give for the images and that many augmented passes,
            and fine-tune from there: frozen layers are computed once for all folds and epochs. 0 computes them anew
            from each augmented picture.
        dropout: share of the pooled features that is dropped before the head, 0 to less than 1.
        pooling: `"avg"`, `"max"`, `"concat"` (both) or `"gem"` (generalised mean with a learnt power).
        head: `"linear"`, `"cosine"` (for a loss with a margin) or `"ordinal"` (classes in an order, such as grades).
        neck: `"none"`, or `"batch_norm"` between the pooled features and the head.
        multi_dropout: number of dropouts side by side whose results are averaged; 1 is the usual dropout.
        activation: `"relu"`, `"swish"` or `"gelu"`; pretrained networks have their own.
        initializer: name of a Keras initialiser of the convolutions; of a network from scratch as well.
        loss: `"auto"` (cross-entropy, the mean squared error of a regression, ArcFace for a cosine head) or a key of
            `kagglekit.models.losses.LOSSES` that is for the task.
        label_smoothing: share of the label that is spread over all classes, 0 to less than 1.
        optimizer: a key of `kagglekit.models.optimizers.OPTIMIZERS`.
        patience: stop a fold when its metric has not become better for so many epochs, and keep the best epoch's
            weights; 0 trains to the end and keeps the last. The score of a fold that chose its own best epoch is a
            little rosy.
        weight_decay: decoupled weight decay, per step and times the learning rate; biases and norms do not decay.
        clip: largest global norm of the gradients; 0 switches clipping off.
        layer_decay: factor of the learning rate from each twelfth of the backbone to the one below it; 1 is one rate.
        ema: momentum of a moving average of the weights, which is then what is validated and saved; 0 switches it off.
        schedule: a name of `kagglekit.models.optimizers.SCHEDULES`.
        warmup: share of a stage's steps during which the learning rate rises, 0 to 1.
        seed: integer that fixes initial weights, batches, augmentation and dropout.
        reasons: mapping from a knob's name to why it has its value; no part of the run's identity.

    Raises:
        ValueError: if a value is outside its range.
        TypeError: if a name is no knob.

    Example:

    >>> recipe = Recipe(backbone="small_cnn", image_size=16, epochs=3)
    >>> recipe.replace(epochs=5).epochs
    5
    >>> Recipe.from_dict({"backbones": "small_cnn"})
    Traceback (most recent call last):
    ValueError: a recipe has no knob 'backbones'. Did you mean 'backbone'?
    """

    name: str = "baseline"
    backbone: str = "efficientnet_lite0"
    weights: str | None = "imagenet"
    image_size: int | tuple[int, int] = 224
    channels: int = 3
    resize: str = "squash"
    record_size: int = 280
    preprocess: tuple = ()
    numeric: tuple = ()
    categorical: tuple = ()
    batch_size: int = 32
    policy: str | tuple = "light"
    augment_strength: float = 1.0
    augment_warmup: int = 0
    mix: str = "none"
    unmixed_epochs: int = 0
    sampling: str | dict = "none"
    subset: float = 1.0
    class_weights: str = "none"
    frozen_epochs: int = 20
    frozen_learning_rate: float = 3e-3
    frozen_views: int = 0
    epochs: int = 2
    learning_rate: float = 3e-4
    first_sizes: tuple = ()
    unfrozen_layers: float | tuple = 0.5
    cached_views: int = 0
    dropout: float = 0.2
    pooling: str = "avg"
    head: str = "linear"
    neck: str = "none"
    multi_dropout: int = 1
    activation: str = "relu"
    initializer: str = "he_normal"
    loss: str = "auto"
    label_smoothing: float = 0.05
    optimizer: str = "adamw"
    patience: int = 0
    weight_decay: float = 1e-4
    clip: float = 0.0
    layer_decay: float = 1.0
    ema: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.1
    seed: int = 0
    reasons: dict = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self):
        sides = self.image_size if isinstance(self.image_size, list | tuple) else (self.image_size,) * 2
        if len(sides) != 2 or not all(type(side) is int and side >= 8 for side in sides):
            raise ValueError(
                f"expected image_size to be an integer or (height, width), 8 pixels or more, got {self.image_size!r}"
            )
        # One form for one size: a square is its side.
        object.__setattr__(self, "image_size", sides[0] if sides[0] == sides[1] else tuple(sides))
        if not all(type(size) is int and size >= 8 for size in self.first_sizes):
            raise ValueError(f"expected first_sizes to be integers of 8 pixels or more, got {self.first_sizes!r}")
        object.__setattr__(self, "first_sizes", tuple(self.first_sizes))
        if isinstance(self.unfrozen_layers, list | tuple):
            shares = tuple(self.unfrozen_layers)
            if not shares or not all(type(each) in (int, float) for each in shares) or list(shares) != sorted(shares):
                raise ValueError(
                    "expected several unfrozen_layers to be numbers from 0 to 1 that do not fall, such as [0.2, 0.5], "
                    f"got {list(shares)!r}"
                )
            object.__setattr__(self, "unfrozen_layers", shares)
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.-]+", self.name):
            raise ValueError(f"expected name to be letters, digits, '-', '_' and '.', got {self.name!r}")
        if self.weights is not None:
            object.__setattr__(self, "weights", str(self.weights))  # a Path is no plain value
        if isinstance(self.policy, list | tuple):
            object.__setattr__(self, "policy", tuple(tuple(pair) for pair in self.policy))
        for knob, like in (("preprocess", "circle_crop"), ("numeric", "age"), ("categorical", "site")):
            names = getattr(self, knob)
            if not isinstance(names, list | tuple):
                raise ValueError(f"expected {knob} to be a list of names like [{like!r}], got {names!r}")
            object.__setattr__(self, knob, tuple(n if isinstance(n, str) else tuple(_plain(n)) for n in names))
        if self.metadata and self.mix != "none":
            raise ValueError(f"{list(self.metadata)} cannot be mixed as pictures are; use mix='none', not {self.mix!r}")
        for knob, choices in _CHOICES.items():
            if not isinstance(getattr(self, knob), dict):  # factors per class
                check_choice(knob, getattr(self, knob), choices)
        if self.loss != "auto" and self.loss.startswith("arcface") != (self.head == "cosine"):
            raise ValueError(
                f"expected the losses 'arcface' and 'arcface_mixture' with head='cosine' alone, got loss={self.loss!r} "
                f"and head={self.head!r}"
            )
        types = {field.name: field.type for field in dataclasses.fields(self)}
        for knob, low, high in _RANGES:
            value, kind = getattr(self, knob), types[knob]
            parts = _several(value) if kind == float | tuple else (value,)
            fits = all(type(part) is int or (kind is not int and isinstance(part, float)) for part in parts)
            if not fits or not low <= min(parts) <= max(parts) <= high:
                what = "a whole number" if kind is int else "a number"
                raise ValueError(f"expected {knob} to be {what} from {low:g} to {high:g}, got {value!r}")
        whole = self.weights is None or 1 in _several(self.unfrozen_layers)
        if self.cached_views and (whole or self.first_sizes or self.mix != "none"):
            raise ValueError(
                "expected cached_views=0 where all layers are trained (weights=None or unfrozen_layers of 1), sizes "
                "change (first_sizes) or pictures are mixed (mix): nothing that is kept would hold"
            )
        if self.frozen_epochs + self.epochs == 0:
            raise ValueError("expected frozen_epochs or epochs to be at least 1, got 0 for both")

    def replace(self, **changes):
        """Return a copy with some knobs changed; an unknown name raises with the nearest one."""
        return Recipe.from_dict(self.to_dict() | changes)

    def to_dict(self):
        """Return the knobs as a dict of plain values, `reasons` included."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values):
        """Make a recipe from a dict; knobs that are left out keep their defaults."""
        known = [field.name for field in dataclasses.fields(cls)]
        for knob in values:
            if knob not in known:
                raise ValueError(f"a recipe has no knob {knob!r}.{nearest(knob, known)}")
        return cls(**values)

    def to_yaml(self, path):
        """Write the recipe as a YAML file that a person can edit, and return its path."""
        with written_whole(path) as temporary:
            temporary.write_text(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True), "utf-8")
        return Path(path)

    @classmethod
    def from_yaml(cls, path):
        """Read a recipe that `to_yaml` wrote, or one written by hand."""
        try:
            values = yaml.safe_load(Path(path).read_text("utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is no valid YAML: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"expected lines `knob: value` in {path}, got {type(values).__name__}")
        for knob, *_ in _RANGES:
            if isinstance(values.get(knob), str):  # YAML 1.1 reads 3e-4, without a point, as text
                with contextlib.suppress(ValueError):
                    values[knob] = float(values[knob])
        try:
            return cls.from_dict(values)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def metadata(self):
        """Names of the columns of `numeric` and `categorical`, sorted, each once."""
        return tuple(sorted({*self.numeric, *self.categorical}))

    def strength_in(self, epoch):
        """Return the strength of augmentation in an epoch; numbers from 0, those of the frozen stage included."""
        done = epoch + 1 - (0 if self.weights is None else self.frozen_epochs)
        return self.augment_strength * min(1.0, max(done, 1) / max(self.augment_warmup, 1))

    @property
    def hash(self):
        """Eight hexadecimal digits that two recipes share when they do the same; name and reasons do not count."""
        return content_hash({knob: value for knob, value in self.to_dict().items() if knob not in ("name", "reasons")})

    def _repr_html_(self):
        from html import escape

        rows = "".join(
            f"<tr><td><code>{knob}</code></td><td style='text-align:left'>{escape(str(value))}</td>"
            f"<td style='text-align:left'>{escape(self.reasons.get(knob, ''))}</td></tr>"
            for knob, value in self.to_dict().items()
            if knob != "reasons"
        )
        return (
            f"<b>Recipe {escape(self.name)}</b><table><tr><th>knob</th><th>value</th><th>why</th></tr>{rows}</table>"
            "Next: <code>kk.plan(comp, recipe)</code>, then <code>kk.cross_validate(comp, folds, recipe)</code>"
        )


def _several(value):
    return value if isinstance(value, tuple) else (value,)


def _plain(value):
    """Tuples as lists, which YAML can tell a person."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


# What the stages know by these names; a recipe is checked without loading any of them.
_CHOICES = {
    "resize": ("squash", "short_side_crop", "letterbox"),
    "mix": ("none", "mixup", "cutmix", "fmix", "mixup_cutmix"),
    "sampling": ("none", "label_shuffling", "balanced", "square_root"),
    "class_weights": ("none", "inverse_frequency", "effective_number"),
    "pooling": ("avg", "max", "concat", "gem"),
    "head": ("linear", "cosine", "ordinal"),
    "neck": ("none", "batch_norm"),
    "activation": ("relu", "swish", "gelu"),
    "loss": (
        "auto", "cross_entropy", "focal", "sparsemax", "generalized_cross_entropy", "symmetric_cross_entropy",
        "bi_tempered", "quadratic_kappa", "earth_movers", "kl_divergence", "binary_cross_entropy", "binary_focal",
        "asymmetric", "soft_f1", "mean_squared_error", "mean_absolute_error", "smooth_l1", "arcface", "arcface_mixture",
    ),
    "optimizer": ("adamw", "adam", "sgd", "lamb", "lion", "muon", "radam"),
    "schedule": ("cosine", "one_cycle", "exponential", "step", "constant"),
}  # fmt: skip

_RANGES = (
    ("channels", 1, 64),
    ("record_size", 8, 4096),
    ("batch_size", 1, 65536),
    ("augment_strength", 0, 4),
    ("augment_warmup", 0, 10000),
    ("unmixed_epochs", 0, 10000),
    ("subset", 0.001, 1),
    ("frozen_epochs", 0, 10000),
    ("frozen_learning_rate", 0, 10),
    ("frozen_views", 0, 64),
    ("patience", 0, 10000),
    ("epochs", 0, 10000),
    ("learning_rate", 0, 10),
    ("unfrozen_layers", 0, 1),
    ("cached_views", 0, 64),
    ("dropout", 0, 0.99),
    ("multi_dropout", 1, 16),
    ("label_smoothing", 0, 0.99),
    ("weight_decay", 0, 1),
    ("clip", 0, 1e6),
    ("layer_decay", 0.01, 1),
    ("ema", 0, 0.99999),
    ("warmup", 0, 1),
    ("seed", 0, 2**31 - 1),
)
