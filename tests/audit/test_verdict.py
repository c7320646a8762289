"""The verdict says what is so: every finding is checked on data that were made to have it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import kagglekit as kk


@pytest.fixture(scope="module")
def report(digits):
    return kk.check_images(digits)


@pytest.fixture
def small(make_competition):
    comp = kk.load_competition(make_competition())
    return comp, kk.check_images(comp)


def line(table, topic):
    found = table[table["topic"] == topic]
    assert len(found) == 1, f"{topic}: {len(found)} lines"
    return found["finding"].item(), found["advice"].item()


def relabelled(comp, labels, **changes):
    train = comp.train.assign(label=pd.Series(labels, index=comp.train.index, dtype=object))
    return dataclasses.replace(comp, train=train, classes=None, **changes)


def test_every_line_is_text_and_every_topic_stands_once(digits, report):
    table = kk.describe_data(digits, report, kk.duplicate_groups(digits))
    assert table.columns.tolist() == ["topic", "finding", "advice"]
    assert table["topic"].is_unique
    assert (table.map(len) > 3).all().all()


def test_balanced_classes_need_nothing_and_a_rare_one_is_named(digits, report):
    assert line(kk.describe_data(digits, report), "balance")[1] == "balanced: nothing to do"
    zeros = digits.train["label"] == "0"
    keep = ~zeros | (zeros.cumsum() <= 6)
    rare = dataclasses.replace(digits, train=digits.train[keep].reset_index(drop=True))
    table = kk.describe_data(rare, report)
    finding, advice = line(table, "balance")
    counts = rare.class_counts()
    assert finding == f"most frequent : rarest class = {counts.max()} : 6 = {counts.max() / 6:.1f}"
    assert advice.startswith("strongly uneven")
    assert line(table, "few-shot")[0] == "1 classes have fewer than 10 images, 1 fewer than 20: '0'"


@pytest.mark.parametrize(
    ("images", "words"),
    [(5, "few even for pretrained"), (60, "use pretrained"), (120, "just enough without"), (400, "even without")],
)
def test_size_advice_follows_the_images_of_a_class(digits, report, images, words):
    """10-20 images a class suffice with pretrained weights, 100-200 without."""
    train = digits.train.iloc[: 2 * images].reset_index(drop=True)
    comp = relabelled(dataclasses.replace(digits, train=train), np.resize(["a", "b"], 2 * images))
    assert words in line(kk.describe_data(comp, report), "data size")[1]


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (8, "input 16 at stride 4 gives 4x4"), (31, "input 32 at stride 4 gives 8x8"),
        (48, "input 96: a final feature map of 3x3"), (130, "input 128: a final feature map of 4x4"),
        (224, r"input 224: a final feature map of 7x7"), (600, "compare with 384 \\(12x12\\)"),
    ],
)  # fmt: skip
def test_resolution_advice_keeps_the_feature_map_of_3_to_7(digits, report, side, words):
    import re

    advice = line(kk.describe_data(digits, report.assign(width=side, height=side + 40)), "resolution")[1]
    assert re.search(words, advice)


@pytest.mark.filterwarnings("ignore:self.within_class_std_dev_")  # corners of digits are always black
def test_digits_differ_at_a_glance_and_shuffled_labels_do_not(digits, report):
    finding, _ = line(kk.describe_data(digits, report), "fine-grained")
    accuracy = int(finding.split(" for ")[1].split("%")[0])
    # scikit-learn's NearestCentroid on the same 64 pixels, cross-validated
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import NearestCentroid

    pixels = np.stack([np.asarray(Image.open(digits.root / source)).ravel() for source in digits.train["source"]])
    labels = digits.train["label"].to_numpy(str)
    reference = cross_val_score(NearestCentroid(), pixels.astype(float), labels, cv=20, scoring="balanced_accuracy")
    assert accuracy == pytest.approx(100 * reference.mean(), abs=2)
    assert "told apart at a glance" in finding
    shuffled = relabelled(digits, np.random.default_rng(0).permutation(labels))
    assert "they look alike at a glance" in line(kk.describe_data(shuffled, report), "fine-grained")[0]


def test_easy_first_is_a_part_of_every_class_near_its_mean(digits, report):
    easy = kk.describe_data(digits, report).attrs["easy_first"]
    assert len(set(easy)) == len(easy)
    table = digits.train.set_index("image_id")
    shares = table.loc[easy, "label"].value_counts() / table["label"].value_counts()
    assert shares.between(0.1, 0.2).all()
    pixels = {name: np.asarray(Image.open(digits.root / table.at[name, "source"]), float) for name in table.index}
    for label, part in table.groupby("label"):
        mean = np.mean([pixels[name] for name in part.index], axis=0)
        distances = pd.Series({name: ((pixels[name] - mean) ** 2).mean() for name in part.index})
        chosen = part.index.isin(easy)
        assert distances[chosen].max() <= distances[~chosen].min(), label


def test_a_class_of_few_images_gives_three_easy_ones(small):
    comp, report = small
    easy = kk.describe_data(comp, report).attrs["easy_first"]
    labels = comp.train.set_index("image_id").loc[easy, "label"]
    assert labels.value_counts().to_dict() == {"cat": 3, "dog": 3, "owl": 3}


def test_the_order_of_the_rows_does_not_matter_to_the_easy_ones(digits, report):
    shuffled = dataclasses.replace(digits, train=digits.train.sample(frac=1, random_state=0).reset_index(drop=True))
    first, second = (kk.describe_data(comp, report).attrs["easy_first"] for comp in (digits, shuffled))
    assert set(first) == set(second)


def test_grey_is_seen_through_its_storage(small, digits, report):
    comp, colour_report = small
    assert line(kk.describe_data(digits, report), "colour")[0] == "all grey"
    assert line(kk.describe_data(comp, colour_report), "colour")[0] == "in colour"
    for number, source in enumerate(comp.train["source"]):
        with Image.open(comp.root / source) as image:
            grey = image.convert("L").convert("RGB")
        if number < 12:
            grey.save(comp.root / source)
    assert line(kk.describe_data(comp, colour_report), "colour")[0] == "50% grey, the others in colour"


def test_files_that_stop_a_run_send_one_to_the_quarantine(make_competition, workspace):
    folder = make_competition()
    (folder / "train" / "00003.jpg").write_bytes(b"no image")
    comp = kk.load_competition(folder)
    report = kk.check_images(comp)
    finding, advice = line(kk.describe_data(comp, report), "files")
    assert finding == "1 unreadable"
    assert advice.startswith("comp = kk.quarantine(comp, report)")
    after = kk.describe_data(kk.quarantine(comp, report), report)
    assert not line(after, "files")[1].startswith("comp = kk.quarantine(comp, report)")


def test_twins_conflicts_and_leaks_are_counted(make_competition):
    folder = make_competition()
    for duplicate in ("train/00001.jpg", "train/00003.jpg", "test/x.jpg"):  # dog and cat, like the cat 00000
        (folder / duplicate).write_bytes((folder / "train" / "00000.jpg").read_bytes())
    comp = kk.load_competition(folder)
    table = kk.describe_data(comp, kk.check_images(comp), kk.duplicate_groups(comp))
    assert line(table, "duplicates")[0] == "3 training images in groups of duplicates: 1"
    assert "1, '00000 = 00001 = 00003'" in line(table, "conflicts")[0]
    assert line(table, "leaks")[0].startswith("1 test images have a duplicate")
    assert line(kk.describe_data(comp, kk.check_images(comp)), "duplicates")[0] == "not looked for"


def test_groups_gaps_and_the_lack_of_test_images_are_said(digits, report):
    group = np.repeat(["a", "b"], [1000, 437])
    train = digits.train.assign(group=group, age=np.resize(["", "5", "6", "7"], 1437))
    comp = dataclasses.replace(digits, train=train, test=digits.test.iloc[:0])
    table = kk.describe_data(comp, report)
    assert line(table, "groups") == (
        "2 groups of 437 to 1000 images, median 718.5", "the largest holds 70% of the images: folds will be uneven"
    )  # fmt: skip
    assert line(table, "missing values")[0] == "age 25.1%"
    assert line(table, "test images")[0] == "none"


def test_every_task_has_its_verdict(digits, report):
    numbers = digits.train["label"].astype(float)
    regression = relabelled(digits, numbers.tolist(), task="regression", metric=None)
    table = kk.describe_data(regression, report)
    assert "targets from 0 to 9" in line(table, "targets")[0]
    assert "right fifth of the targets" in line(table, "fine-grained")[0]
    assert "balance" not in set(table["topic"])

    multi = relabelled(digits, [tuple({"0": [], "1": ["one"]}.get(x, ["many", "one"])) for x in digits.train["label"]],
                       task="multi_label", metric=None)  # fmt: skip
    table = kk.describe_data(multi, report)
    zeros = int((digits.train["label"] == "0").sum())
    assert line(table, "labels")[0] == f"{zeros} images have no label at all"
    assert "labels an image" in line(table, "data size")[0]

    shares = [tuple(np.eye(3)[int(x) % 3]) for x in digits.train["label"]]
    train = digits.train.assign(label=pd.Series(shares, index=digits.train.index))
    distribution = dataclasses.replace(digits, train=train, task="distribution", metric=None, classes=("1", "2", "3"))
    table = kk.describe_data(distribution, report)
    assert "means of the distributions from 1 to 3" in line(table, "targets")[0]
    assert table.attrs["easy_first"]


def test_channels_from_several_files_are_counted(digits, report):
    train, test = (table.assign(source=[(s, s) for s in table["source"]]) for table in (digits.train, digits.test))
    comp = dataclasses.replace(digits, train=train, test=test)
    assert line(kk.describe_data(comp, report), "colour")[0] == "2 channels, from 2 files an image"


def test_no_readable_image_is_an_error(small):
    comp, report = small
    for source in comp.train["source"]:
        (comp.root / source).write_bytes(b"no image")
    with pytest.raises(ValueError, match="none of the training images looked at can be read; see kk.check_images"):
        kk.describe_data(comp, report)
