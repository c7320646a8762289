"""A layout is one object in one table."""

import pandas as pd
import pytest

import kagglekit as kk
from kagglekit.competition.layouts import LAYOUTS
from kagglekit.competition.layouts.assemble import assemble
from kagglekit.competition.layouts.base import Layout
from kagglekit.competition.layouts.image_files import list_images


def read_by_name(folder, preset):
    """`cat-1.jpg`: the class stands in the file's name."""
    names = sorted(path.name for path in (folder / "pile").iterdir())
    rows = pd.DataFrame({"image_id": names, "id": names, "source": [f"pile/{name}" for name in names]})
    cells = pd.DataFrame({"label": [name.partition("-")[0] for name in names]})
    return assemble(folder, preset, rows, rows[:0], cells=cells)


PILE = Layout(
    lambda folder, preset: (folder / "pile").is_dir(), read_by_name, "pile/<class>-<number>.jpg", ("label_column",)
)


@pytest.fixture
def pile(make_competition):
    """A folder that none of the layouts fits."""
    folder = make_competition(ids=["cat-1", "cat-2", "dog-1", "dog-2"], labels=["x"] * 4)
    (folder / "train").rename(folder / "pile")
    for path in (folder / "train.csv", folder / "sample_submission.csv", *(folder / "test").iterdir()):
        path.unlink()
    assert len(list_images(folder)) == 4
    return folder


def test_a_layout_is_added_by_one_entry(pile, monkeypatch):
    with pytest.raises(ValueError, match="has no layout that is known"):
        kk.load_competition(pile)
    monkeypatch.setitem(LAYOUTS, "pile", PILE)
    for preset in (None, kk.Preset(layout="pile")):
        comp = kk.load_competition(pile, preset)
        assert comp.train["label"].tolist() == ["cat", "cat", "dog", "dog"]
        assert kk.check_images(comp).attrs["verdict"]
    with pytest.raises(ValueError, match="the layout pile has no table, so columns cannot be chosen: 'label_column'"):
        kk.load_competition(pile, label_column="label")
    (pile / "pile").rename(pile / "heap")
    with pytest.raises(ValueError, match=r"Expected one of: .*; pile/<class>-<number>.jpg"):
        kk.load_competition(pile)


def test_every_layout_says_what_it_is_found_by():
    for name, layout in LAYOUTS.items():
        assert layout.looks_like, name
        assert set(layout.unused) <= set(kk.Preset.__dataclass_fields__), name
