"""How competitions are laid out on disk, and what was learnt from some of them."""

import dataclasses
import re

from kagglekit._checks import check_choice, nearest
from kagglekit.metrics import Metric, find_metric
from kagglekit.tasks import TASKS, Task, find_task

SUBMISSION_FORMS = tuple(dict.fromkeys(form for task in TASKS.values() for form in task.forms))


@dataclasses.dataclass(frozen=True)
class Preset:
    """What a reader cannot see in the files; whatever is left out is inferred from them.

    Args:
        layout: name of a layout, a key of `kagglekit.competition.layouts.LAYOUTS`.
        task: a `kagglekit.tasks.Task` or its name: `"single_label"`, `"multi_label"`, `"ordinal"`, `"regression"` or
            `"distribution"`.
        metric: name of the metric that the competition is scored by, or a `kk.Metric` of your own.
        train_table: file name of the training table.
        test_table: file name of the table of test rows (metadata, or the fields of `test_images`).
        columns: names of the table's columns where it has no header; `""` leaves a column out.
        id_column: column with the submission row's id.
        image_column: column with the image's file where it is not the id.
        label_column: column of the label, or a tuple of columns (one per class or value).
        classes: names of the classes in their order, where that is not the order of their names (low, medium, high).
        group_column: column whose rows must stay in one fold.
        group_pattern: regular expression whose first group, found in the id, is the group.
        train_images, test_images: a folder, or a template of the file's path with columns in braces, `{channel}` and
            `{image}` among them: `"train/{id}_{channel}.png"`.
        channels: values of `{channel}`; the files are stacked in this order.
        images: values of `{image}`: several images of one row, aggregated when it is predicted.
        submission: form of the submission, one of `SUBMISSION_FORMS`.
        header: False when sample and submission have no header.
        title, preprocessing, loss, source: what people should know; the kit does not act on them.

    Example:

    >>> Preset(train_images="train/{Id}_{channel}.png", channels=("red", "green")).channels
    ('red', 'green')
    """

    layout: str | None = None
    task: Task | str | None = None
    metric: str | Metric | None = None
    train_table: str | None = None
    test_table: str | None = None
    columns: tuple = ()
    id_column: str | None = None
    image_column: str | None = None
    label_column: str | tuple | None = None
    classes: tuple = ()
    group_column: str | None = None
    group_pattern: str | None = None
    train_images: str | None = None
    test_images: str | None = None
    channels: tuple = ()
    images: tuple = ()
    submission: str | None = None
    header: bool = True
    title: str = ""
    preprocessing: str = ""
    loss: str = ""
    source: str = ""

    def __post_init__(self):
        if self.task is not None:
            object.__setattr__(self, "task", find_task(self.task))
        if self.metric is not None:
            find_metric(self.metric, self.task)
        if self.submission is not None:
            check_choice("submission", self.submission, SUBMISSION_FORMS)
        if self.group_pattern is not None and re.compile(self.group_pattern).groups < 1:
            raise ValueError(f"expected group_pattern with a group in parentheses, got {self.group_pattern!r}")

    def with_choices(self, **choices):
        """Return a copy in which the choices that are not None replace the preset's."""
        return dataclasses.replace(self, **{name: value for name, value in choices.items() if value is not None})


def find_preset(preset, folder_name):
    """Return a `Preset` from a `Preset`, a key of `PRESETS`, or None for the one with the folder's name."""
    if isinstance(preset, Preset):
        return preset
    if preset is None:
        return PRESETS.get(folder_name, Preset())
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}.{nearest(preset, PRESETS)} There are {sorted(PRESETS)}")
    return PRESETS[preset]


# Keys are Kaggle's slugs where there is one, so that an attached competition finds its own.
PRESETS = {
    "intel-image-classification": Preset(
        title="Intel scenes: six kinds of landscape, 150 pixels",
        layout="class_folders",
        train_images="seg_train/seg_train",
        test_images="seg_pred/seg_pred",
        metric="accuracy",
        preprocessing="none; ImageNet weights fit well",
        loss="cross-entropy with label smoothing",
        source="https://www.kaggle.com/datasets/puneet6060/intel-image-classification",
    ),
    "recursion-cellular-image-classification": Preset(
        title="Recursion: 1,108 genetic treatments of cells, six channels, two sites a well",
        train_table="train.csv",
        test_table="test.csv",
        id_column="id_code",
        label_column="sirna",
        group_column="experiment",
        train_images="train/{experiment}/Plate{plate}/{well}_s{image}_w{channel}.png",
        test_images="test/{experiment}/Plate{plate}/{well}_s{image}_w{channel}.png",
        channels=("1", "2", "3", "4", "5", "6"),
        images=("1", "2"),
        metric="accuracy",
        submission="labels",
        preprocessing="standardise each channel per experiment: batches differ more than treatments do",
        loss="0.8 cross-entropy + 0.2 ArcFace (the winner's)",
        source="https://www.kaggle.com/c/recursion-cellular-image-classification",
    ),
    "siim-isic-melanoma-classification": Preset(
        title="SIIM-ISIC melanoma: 1.8% positives, several images of a patient",
        train_table="train.csv",
        test_table="test.csv",
        id_column="image_name",
        label_column="target",
        group_column="patient_id",
        train_images="jpeg/train",
        test_images="jpeg/test",
        metric="auc",
        submission="one probability",
        preprocessing="resize once to 1.25 times the input; patients stay whole (triple-stratified folds)",
        loss="binary cross-entropy with label smoothing 0.05",
        source="https://www.kaggle.com/c/siim-isic-melanoma-classification",
    ),
    "aptos2019-blindness-detection": Preset(
        title="APTOS: five ordered grades of diabetic retinopathy",
        train_table="train.csv",
        test_table="test.csv",
        id_column="id_code",
        label_column="diagnosis",
        train_images="train_images",
        test_images="test_images",
        task="ordinal",
        metric="quadratic_weighted_kappa",
        submission="labels",
        preprocessing="crop the grey border, try Ben Graham's colours; the winner used none of it",
        loss="smooth L1 on the grade, cut-points found out-of-fold",
        source="https://www.kaggle.com/c/aptos2019-blindness-detection",
    ),
    "diabetic-retinopathy-detection": Preset(
        title="Diabetic retinopathy 2015: both eyes of a patient",
        train_table="trainLabels.csv",
        id_column="image",
        label_column="level",
        group_pattern=r"^(\d+)_(?:left|right)$",
        train_images="train",
        test_images="test",
        task="ordinal",
        metric="quadratic_weighted_kappa",
        submission="labels",
        preprocessing="Ben Graham: one radius, local average taken away, circle of 0.9 radius",
        loss="mean squared error on the grade, or the kappa surrogate",
        source="https://www.kaggle.com/c/diabetic-retinopathy-detection",
    ),
    "fashionmnist": Preset(
        title="Fashion-MNIST: ten kinds of clothes as 28x28 pixels in a CSV",
        layout="pixel_csv",
        train_table="fashion-mnist_train.csv",
        test_table="fashion-mnist_test.csv",
        label_column="label",
        metric="accuracy",
        preprocessing="none; a small network from random weights",
        loss="cross-entropy",
        source="https://www.kaggle.com/datasets/zalando-research/fashionmnist",
    ),
    "cdiscount-image-classification-challenge": Preset(
        title="Cdiscount: 5,270 categories of products, up to four images each, BSON",
        layout="bson_products",
        id_column="_id",
        label_column="category_id",
        metric="accuracy",
        submission="labels",
        preprocessing="none; 180 pixels, average the images of a product",
        loss="cross-entropy",
        source="https://www.kaggle.com/c/cdiscount-image-classification-challenge",
    ),
    "plant-seedlings-classification": Preset(
        title="Plant seedlings: twelve species, images of every size",
        layout="class_folders",
        train_images="train",
        test_images="test",
        metric="micro_f1",
        submission="labels",
        preprocessing="mask the green by hue, or none; two classes of grass are hard",
        loss="cross-entropy with label smoothing",
        source="https://www.kaggle.com/c/plant-seedlings-classification",
    ),
    "ava-aesthetic-visual-assessment": Preset(
        title="Aesthetic visual analysis: votes from 1 to 10 for each photograph",
        layout="csv_folder",
        train_table="AVA.txt",
        columns=("", "id", *(str(score) for score in range(1, 11)), "tag_1", "tag_2", "challenge"),
        id_column="id",
        label_column=tuple(str(score) for score in range(1, 11)),
        train_images="images",
        task="distribution",
        metric="emd",
        submission="probabilities",
        preprocessing="keep the aspect ratio: composition counts",
        loss="earth mover's distance of the cumulative votes",
        source="Murray, Marchesotti, Perronnin, CVPR 2012; https://github.com/imfing/ava_downloader",
    ),
    "human-protein-atlas-image-classification": Preset(
        title="Protein atlas: 28 labels, several per cell, four stains in four files",
        train_table="train.csv",
        id_column="Id",
        label_column="Target",
        train_images="train/{Id}_{channel}.png",
        test_images="test/{Id}_{channel}.png",
        channels=("red", "green", "blue", "yellow"),
        task="multi_label",
        metric="macro_f1",
        submission="label lists",
        preprocessing="all four stains; the yellow stem weights are the mean of red and blue",
        loss="focal, or binary cross-entropy with oversampled rare labels",
        source="https://www.kaggle.com/c/human-protein-atlas-image-classification",
    ),
    "lemon-quality": Preset(
        title="Hiroshima Quest 2020: four grades of lemons, photographed from several sides",
        train_table="train_images.csv",
        test_table="test_images.csv",
        id_column="id",
        label_column="class_num",
        train_images="train_images",
        test_images="test_images",
        task="ordinal",
        metric="quadratic_weighted_kappa",
        submission="labels",
        header=False,
        preprocessing="crop the lemon; label shuffling against the imbalance",
        loss="cross-entropy, or smooth L1 on the grade",
        source="https://signate.jp/competitions/431",
    ),
}
