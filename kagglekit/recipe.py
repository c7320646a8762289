"""Every knob of a run, flat, with its unit."""

import contextlib
import dataclasses
from pathlib import Path

import yaml

from kagglekit._checks import nearest
from kagglekit._files import content_hash, written_whole
from kagglekit._knobs import RANGES, canonical_values, check_knobs, plain, python_numbers


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run does, as flat values that can be read, compared, searched and written to YAML.

    `kk.suggest_recipe(comp)` fills one in for a competition; `recipe.replace(epochs=5)` changes a copy.

    Args:
        name: short name of the run's folder.
        backbone: a name that `kk.list_backbones()` lists, a class of keras.applications or a preset of keras-hub.
        weights: `"imagenet"`, `None` (random) or the path of a weights file or its folder.
        image_size: height and width of the network's input, pixels; an integer means a square.
        channels: 1, 3, or the number of files of a row that are stacked.
        resize: `"squash"` (both sides to the network's, whatever the shape), `"short_side_crop"` (the largest part of
            the network's shape: its middle in evaluation, anywhere in training) or `"letterbox"` (all of it, and grey).
        record_size: short side of the stored images, pixels; larger images are reduced once, none is enlarged.
        preprocess: what is done to every image, of train and test, when records are written, as in
            `kk.write_records`: a list of names, or of pairs of a name and a dict of arguments. An exported network does
            not contain it: apply the same to its input.
        numeric, categorical: names of columns of train and test that the network sees beside the pixels, as numbers and
            as categories; missing and new values are allowed. Their images cannot be mixed.
        batch_size: images per step.
        policy: name of an augmentation policy, see `kagglekit.augment.POLICIES`, or a list of ops with their
            strengths such as `[["flip_horizontal", 0.5], ["rotation", 15]]`.
        mix: `"none"`, or how images of a batch are mixed with their labels, see `kagglekit.augment.mix.MIXES`.
        augment_strength: factor on the policy's strengths; 0 switches it off, 1 is the policy unchanged.
        augment_warmup: epochs of fine-tuning over which the strength rises to that, in equal steps; 0 for none.
        unmixed_epochs: last epochs, in which nothing is mixed.
        sampling: how often an epoch sees the classes: `"none"` (every row once), `"label_shuffling"`, `"balanced"`,
            `"square_root"`, or a mapping from class names to factors, see `kagglekit.pipeline.sampling`.
        subset: share of the rows that an epoch sees, a different one each time; more than 0 and at most 1.
        class_weights: `"none"`, `"inverse_frequency"` or `"effective_number"`: a row's weight in the loss.
        frozen_epochs: epochs that train the head alone, with the backbone frozen as loaded.
        frozen_learning_rate: peak learning rate of that stage.
        frozen_views: augmented passes over the images that the frozen stage sees beside the images as they are; each
            costs one pass of the backbone.
        epochs: epochs of fine-tuning (or of training from scratch).
        learning_rate: peak learning rate of fine-tuning.
        first_sizes: image sizes that fine-tuning begins with, such as `(128, 160)`, for equal parts of its epochs:
            small images cost a fraction and regularise.
        unfrozen_layers: share of the backbone's layers, counted from the head, that fine-tuning trains, 0 to 1; several
            such as `(0.2, 0.5, 1.0)`, in ascending order, unfreeze it step by step, for equal parts of the epochs.
        cached_views: cache the features below the trained layers, of the images and of that many augmented passes,
            and fine-tune from them: frozen layers are computed once for all folds and epochs. 0 computes them again
            from each augmented image.
        dropout: share of the pooled features that is dropped before the head, 0 to less than 1.
        pooling: `"avg"`, `"max"`, `"concat"` (both) or `"gem"` (generalised mean with a learnt power).
        head: `"linear"`, `"cosine"` (for a loss with a margin) or `"ordinal"` (classes in an order, such as grades).
        neck: `"none"`, or `"batch_norm"` between the pooled features and the head.
        multi_dropout: number of dropouts side by side whose results are averaged; 1 is the usual dropout.
        activation: `"relu"`, `"swish"` or `"gelu"`; pretrained networks have their own.
        initializer: name of a Keras initialiser of the convolutions; of a network from scratch as well.
        loss: `"auto"` (cross-entropy, the mean squared error of a regression, ArcFace for a cosine head) or a key of
            `kagglekit.models.losses.LOSSES` that fits the task.
        label_smoothing: share of the label that is spread over all classes, 0 to less than 1.
        optimizer: a key of `kagglekit.models.optimizers.OPTIMIZERS`.
        patience: stop a fold when its metric has not become better for so many epochs, and keep the best epoch's
            weights; 0 trains to the end and keeps the last. The score of a fold that chose its own best epoch is
            slightly optimistic. Plain heads on a frozen backbone, which train for all folds at once, train to the end.
        weight_decay: decoupled weight decay, per step and times the learning rate; biases and norms do not decay.
        clip: largest global norm of the gradients; 0 switches clipping off.
        layer_decay: factor of the learning rate from each twelfth of the backbone to the one below it; 1 is one rate.
        ema: momentum of a moving average of the weights, which is then what is validated and saved; 0 switches it off.
        schedule: a name of `kagglekit.models.optimizers.SCHEDULES`.
        warmup: share of a stage's steps during which the learning rate rises, 0 to 1.
        seed: integer that fixes initial weights, batches, augmentation and dropout.
        reasons: mapping from a knob's name to why it has its value; not part of the run's hash.

    Raises:
        ValueError: if a value is outside its range, or a name is unknown, with the nearest.
        TypeError: if an argument is not a knob.

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
        for knob, value in vars(self).items():
            object.__setattr__(self, knob, python_numbers(value))
        for knob, value in canonical_values(self).items():
            object.__setattr__(self, knob, value)
        check_knobs(self)

    def replace(self, **changes):
        """Return a copy with some knobs changed; an unknown name raises with the nearest one."""
        return Recipe.from_dict(self.to_dict() | changes)

    def at_size(self, image_size):
        """Return a copy for one of the image sizes that training goes through."""
        return self.replace(image_size=image_size, first_sizes=())

    def to_dict(self):
        """Return the knobs as a dict of plain values, `reasons` included."""
        return plain(dataclasses.asdict(self))

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
            raise ValueError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"expected lines `knob: value` in {path}, got {type(values).__name__}")
        for knob, *_ in RANGES:
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
        """Eight hexadecimal digits that two recipes share when they do the same; name and reasons are left out."""
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
