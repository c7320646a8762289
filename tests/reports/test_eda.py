"""Figures of the raw data show the figures that they were given, whatever the task and however many the classes."""

import dataclasses
import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt

import kagglekit as kk


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def report(digits):
    report = kk.check_images(digits)
    rng = np.random.default_rng(0)
    return report.assign(channels=1, mean_0=rng.uniform(0, 255, len(report)), std_0=rng.uniform(0, 50, len(report)))


def with_labels(comp, labels, **changes):
    train = comp.train.assign(label=pd.Series(list(labels), index=comp.train.index, dtype=object))
    return dataclasses.replace(comp, **({"train": train, "classes": None} | changes))


def of_task(comp, task):
    """The digits with labels of another task, made from their own."""
    values = comp.train["label"].astype(int)
    if task == "multi_label":
        labels = [tuple(name for name, has in (("odd", v % 2), ("large", v > 4)) if has) for v in values]
        return with_labels(comp, labels, task=task, metric=None)
    if task == "regression":
        return with_labels(comp, values.astype(float), task=task, metric=None)
    if task == "distribution":
        shares = [tuple(np.eye(3)[v % 3] * 0.7 + 0.1) for v in values]
        return with_labels(comp, shares, task=task, metric=None, classes=("1", "2", "3"))
    return comp


def many_classes(comp, number=100):
    names = [f"a rather long class name that ends with {position:03d}" for position in range(number)]
    return with_labels(comp, [names[position % number] for position in range(len(comp.train))])


TASKS = ("single_label", "multi_label", "regression", "distribution")


def widths(ax):
    return [bar.get_width() for bar in ax.patches]


def texts(axes):
    return [text.get_text() for ax in np.ravel(axes) for text in ax.texts]


def overlapping(labels):
    """Pairs of neighbouring labels whose drawn boxes overlap."""
    labels[0].figure.canvas.draw()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return [pair for pair in itertools.pairwise(boxes) if pair[0].overlaps(pair[1])]


class TestClassCounts:
    def test_they_are_the_bars(self, digits):
        ax = kk.plot_class_counts(digits)
        counts = digits.class_counts()
        assert widths(ax) == counts.tolist()
        assert [label.get_text() for label in ax.get_yticklabels()] == counts.index.tolist()

    def test_many_classes_show_the_most_and_the_least_frequent(self, digits):
        ax = kk.plot_class_counts(digits, most=4)
        counts = digits.class_counts()
        assert widths(ax) == [*counts.iloc[:2], *counts.iloc[-2:]]
        assert "6 classes between not shown" in ax.get_title()

    def test_long_names_stay_apart_and_distinct(self, digits):
        ax = kk.plot_class_counts(many_classes(digits))
        labels = ax.get_yticklabels()
        assert len({label.get_text() for label in labels}) == 40
        assert not overlapping(labels)

    def test_several_labels_are_counted_each(self, digits):
        comp = of_task(digits, "multi_label")
        assert sum(widths(kk.plot_class_counts(comp))) == comp.train["label"].map(len).sum()

    def test_a_class_without_images_is_said_to_have_none(self, digits):
        comp = dataclasses.replace(digits, classes=(*digits.class_names, "ten"))
        ax = kk.plot_class_counts(comp)
        assert "the rarest has none" in ax.get_title()
        assert widths(ax)[-1] == 0

    def test_targets_are_a_histogram_of_every_image(self, digits):
        ax = kk.plot_class_counts(of_task(digits, "regression"))
        assert sum(bar.get_height() for bar in ax.patches) == len(digits.train)

    def test_distributions_are_averaged(self, digits):
        comp = of_task(digits, "distribution")
        ax = kk.plot_class_counts(comp)
        assert widths(ax) == pytest.approx(np.mean(comp.train["label"].tolist(), axis=0), rel=1e-5)
        assert sum(widths(ax)) == pytest.approx(1, rel=1e-5)  # the targets are float32


class TestFiles:
    def test_sizes_are_the_points(self, report):
        ax = kk.plot_image_sizes(report.assign(width=np.where(report.index % 3 == 0, 12, 8)))
        assert ax.collections[0].get_offsets().tolist() == [[8, 8], [12, 8]]
        assert ax.get_title() == "Image sizes: 2 different, median 8 x 8"

    def test_histograms_hold_all_images_in_percent(self, report):
        axes = kk.plot_file_statistics(report.assign(width=np.arange(len(report)) % 17 + 5))
        train = axes[0].containers[0]
        assert sum(bar.get_height() for bar in train) == pytest.approx(100)
        assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["train (1437)", "test (360)"]

    def test_what_is_equal_everywhere_is_written(self, report):
        assert texts(kk.plot_file_statistics(report)[:3]) == [
            "8 in every image",
            "8 in every image",
            "1 in every image",
        ]

    def test_unreadable_images_do_not_count(self, report):
        broken = report.copy()
        broken.loc[:9, ["width", "height"]] = 0
        broken.loc[:9, ["mean_0", "std_0"]] = np.nan
        assert texts(kk.plot_file_statistics(broken)[:2]) == ["8 in every image"] * 2
        legend = kk.plot_channels(broken)[0, 0].get_legend()
        assert legend.get_texts()[0].get_text() == "train (1427)"

    def test_every_channel_has_its_mean_and_deviation(self, report):
        wide = report.assign(**{f"{name}_{n}": report[f"{name}_0"] for name in ("mean", "std") for n in (1, 2)})
        axes = kk.plot_channels(wide)
        assert axes.shape == (2, 3)
        means = report.groupby("part")["mean_0"].mean()
        assert axes[0, 1].get_title() == f"green, mean: {means['train']:.0f} train, {means['test']:.0f} test"

    def test_one_giant_does_not_press_the_others_into_one_bar(self, report):
        sizes = np.arange(len(report)) % 50 + 100
        sizes[3] = 100_000
        bars = kk.plot_file_statistics(report.assign(width=sizes))[0].containers[0]
        assert sum(bar.get_height() > 0 for bar in bars) > 20

    def test_the_shift_shows_the_model_and_each_column(self, digits, report):
        test = report["part"] == "test"
        shift = kk.adversarial_validation(digits, report.assign(mean_0=report["mean_0"] + 200 * test))
        ax = kk.plot_shift(shift)
        assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["all columns together", "mean_0 alone"]
        assert ax.patches[0].get_width() + 0.5 == pytest.approx(shift.attrs["auc"])
        assert "They differ" in ax.get_title()


class TestImages:
    @pytest.mark.parametrize("task", TASKS)
    def test_a_grid_has_a_row_per_class_of_every_task(self, digits, task):
        comp = of_task(digits, task)
        axes = kk.plot_images(comp, per_class=3, most=5)
        rows = {"single_label": 5, "multi_label": 2, "regression": 5, "distribution": 3}[task]
        assert axes.shape == (rows, 3)
        assert all(ax.images for ax in axes.ravel())

    def test_the_images_of_a_row_are_of_its_class(self, digits):
        axes = kk.plot_images(digits, per_class=3)
        stored = {}
        for source, label in zip(digits.train["source"], digits.train["label"], strict=True):
            with Image.open(digits.root / source) as image:
                stored.setdefault(label, set()).add(image.tobytes())
        for row in axes:
            label = row[0].get_ylabel()
            assert all(bytes(ax.images[0].get_array().astype(np.uint8)) in stored[label] for ax in row)

    @pytest.mark.parametrize("channels", [2, 3, 5])
    def test_images_of_several_files_are_drawn(self, digits, channels):
        sources = [(source,) * channels for source in digits.train["source"]]
        axes = kk.plot_images(dataclasses.replace(digits, train=digits.train.assign(source=sources)), per_class=1)
        assert axes[0, 0].images[0].get_array().shape == ((8, 8) if channels == 2 else (8, 8, 3))

    def test_an_unreadable_image_is_marked_and_the_others_drawn(self, make_competition):
        folder = make_competition()
        (folder / "train" / "00003.jpg").write_bytes(b"no image")
        comp = kk.load_competition(folder)
        axes = kk.plot_images(comp, per_class=8)
        assert texts(axes) == ["unreadable"]
        assert sum(bool(ax.images) for ax in axes.ravel()) == 23
        titles = [ax.get_title() for ax in kk.plot_mean_images(comp)]
        assert titles == ["cat\nmean of 7", "dog\nmean of 8", "owl\nmean of 8"]

    def test_a_mean_image_is_the_mean_of_its_class(self, digits):
        axes = kk.plot_mean_images(digits, per_class=1000)
        for ax, label in zip(axes, digits.class_names, strict=True):
            sources = digits.train.loc[digits.train["label"] == label, "source"]
            pixels = [np.asarray(Image.open(digits.root / source), float) for source in sources]
            drawn = ax.images[0].get_array()[::4, ::4]  # 8 x 8 pixels were enlarged to 32 x 32
            assert np.abs(drawn.astype(float) - np.mean(pixels, axis=0)).max() <= 1

    @pytest.mark.parametrize("task", TASKS)
    def test_every_task_has_mean_images(self, digits, task):
        assert all(ax.images for ax in kk.plot_mean_images(of_task(digits, task)))

    def test_grey_among_coloured_images_is_averaged_as_colour(self, make_competition):
        comp = kk.load_competition(make_competition())
        for source in comp.train["source"][:5]:
            with Image.open(comp.root / source) as image:
                grey = image.convert("L")
            grey.save(comp.root / source)
        assert all(ax.images[0].get_array().shape == (32, 32, 3) for ax in kk.plot_mean_images(comp))

    def test_of_many_classes_the_most_frequent_are_shown(self, digits):
        axes = kk.plot_mean_images(many_classes(digits), most=10)
        assert len(axes) == 10
        assert "10 most frequent of 100 classes" in axes[0].figure.get_suptitle()
        assert not overlapping([ax.title for ax in axes[:6]])


class TestDuplicates:
    @pytest.fixture
    def duplicates(self, make_competition):
        """00000 (cat) stands again as 00001 (dog), 00003 (cat) and the test image x."""
        folder = make_competition()
        for duplicate in ("train/00001.jpg", "train/00003.jpg", "test/x.jpg"):
            (folder / duplicate).write_bytes((folder / "train" / "00000.jpg").read_bytes())
        comp = kk.load_competition(folder)
        return comp, kk.duplicate_groups(comp)

    def test_conflicts_and_leaks_come_first_and_are_named(self, duplicates):
        axes = kk.plot_duplicates(*duplicates, most=20)
        assert axes.shape[1] == 2
        for left, right in axes:
            assert np.array_equal(left.images[0].get_array(), right.images[0].get_array())
        words = [pair[0].figure.get_suptitle() for pair in axes]
        plain = [": " not in text for text in words]
        assert plain == sorted(plain)
        assert any(text.endswith(": labels differ") for text in words)
        assert any(text.endswith(": train and test") for text in words)

    def test_listed_pairs_show_ids_labels_and_similarity(self, duplicates):
        comp, groups = duplicates
        groups.attrs["pairs"] = [("00004", "00007", "near", 0.98765, "train", "train")]
        ((left, right),) = kk.plot_duplicates(comp, groups)
        assert (left.get_title(), right.get_title()) == ("00004\ndog", "00007\ndog")
        assert left.figure.get_suptitle() == "near, 0.988 alike"

    def test_without_duplicates_a_sentence_says_so(self, digits):
        assert texts(kk.plot_duplicates(digits, kk.duplicate_groups(digits))) == [
            "no duplicates: no two images are the same"
        ]


class TestTables:
    @pytest.fixture
    def patients(self, digits):
        rng = np.random.default_rng(0)
        tables = []
        for table in (digits.train, digits.test):
            age = rng.integers(20, 80, len(table)).astype(str).astype(object)
            age[: len(table) // 4] = ""
            tables.append(table.assign(age=age, sex=rng.choice(["f", "m"], len(table))))
        tables[0]["group"] = [f"p{number // 3}" for number in range(len(digits.train))]
        return dataclasses.replace(digits, train=tables[0], test=tables[1])

    def test_missing_values_are_in_percent(self, patients):
        ax = kk.plot_missing(patients)
        assert widths(ax) == pytest.approx([100 * 359 / 1437, 25])
        assert ax.get_title() == "Missing values: 1 of 3 columns have some"

    def test_a_column_that_test_lacks_is_said_to(self, patients):
        comp = dataclasses.replace(patients, test=patients.test.drop(columns="age"))
        assert "not in test" in texts(kk.plot_missing(comp))

    def test_without_metadata_a_sentence_says_so(self, digits, patients):
        assert texts(kk.plot_missing(digits)) == ["images and labels alone: no metadata"]
        assert texts(kk.plot_group_sizes(digits)) == ["no groups: every image is on its own"]
        full = dataclasses.replace(patients, train=patients.train.assign(age="5"), test=patients.test.assign(age="5"))
        assert texts(kk.plot_missing(full))[0].startswith("no value missing in")

    def test_groups_are_counted_by_size(self, patients):
        groups = [f"p{number // 3}" for number in range(1431)] + ["last"] * 4 + [""] * 2
        ax = kk.plot_group_sizes(patients, pd.Series(groups, index=patients.train["image_id"]))
        bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}
        assert bars == {1: 2, 3: 477, 4: 1}  # empty text: two images of unknown groups
        assert ax.get_title() == "480 groups of 1 to 4 images, median 3"

    def test_text_is_drawn_as_shares_of_the_classes(self, patients):
        ax = kk.plot_metadata(patients, "sex")
        shares = np.array([float(text.get_text()) for text in ax.texts]).reshape(10, 2)
        assert np.abs(shares.sum(axis=0) - 100).max() <= 5  # ten rounded figures
        first = ax.get_xticklabels()[0].get_text()
        value = patients.train["sex"].value_counts().index[0]
        assert first == f"{value} ({(patients.train['sex'] == value).sum()})"

    def test_numbers_are_drawn_as_boxes_with_the_median_in_red(self, patients):
        ax = kk.plot_metadata(patients, "age")
        ages = pd.to_numeric(patients.train["age"])
        expected = ages.groupby(patients.train["label"]).median()
        names = [label.get_text() for label in ax.get_yticklabels()]
        medians = [lines.get_segments()[0][0][0] for lines in ax.collections[1::2]]
        assert dict(zip(names, medians, strict=True)) == expected.to_dict()

    @pytest.mark.parametrize("task", TASKS)
    @pytest.mark.parametrize("column", ["age", "sex"])
    def test_every_task_is_drawn_against_metadata(self, patients, task, column):
        ax = kk.plot_metadata(of_task(patients, task), column)
        assert ax.get_title().startswith(f"{column}: ")
        assert ax.collections or ax.patches

    def test_many_long_names_stay_apart(self, patients):
        comp = many_classes(patients)
        values = [f"hospital of the northern district {number}" for number in range(30)]
        comp = dataclasses.replace(comp, train=comp.train.assign(site=np.resize(values, len(comp.train))))
        ax = kk.plot_metadata(comp, "site")
        assert len(ax.get_xticklabels()) == len(ax.get_yticklabels()) == 12
        assert not overlapping(ax.get_xticklabels())
        assert not overlapping(ax.get_yticklabels())

    def test_an_unknown_column_is_an_error_that_lists_the_others(self, patients):
        with pytest.raises(ValueError, match="no metadata column 'aeg'; there are 'age', 'sex'$"):
            kk.plot_metadata(patients, "aeg")
