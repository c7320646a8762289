"""A zip is unpacked once, and never outside its folder."""

import stat
import zipfile

import pytest

import kagglekit as kk
from kagglekit.competition.layouts.archive import unpack


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def test_a_zip_loads_as_its_folder_would(make_competition, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEKIT_WORKSPACE", str(tmp_path))
    folder = make_competition()
    path = zipped(folder, tmp_path / "pets.zip")
    comp = kk.load_competition(path)
    assert comp.root == tmp_path / "raw" / "pets"
    assert comp.train.equals(kk.load_competition(folder).train)
    written = (tmp_path / "raw" / "pets" / "train.csv").stat().st_mtime_ns
    kk.load_competition(path)
    assert (tmp_path / "raw" / "pets" / "train.csv").stat().st_mtime_ns == written


@pytest.mark.parametrize("own_folder", [True, False])
def test_zips_inside_are_unpacked_beside_themselves(make_competition, tmp_path, own_folder):
    folder = make_competition()
    outer = tmp_path / "outer"
    outer.mkdir()
    for part in ("train", "test"):
        with zipfile.ZipFile(outer / f"{part}.zip", "w") as archive:
            for file in sorted((folder / part).iterdir()):
                archive.write(file, f"{part}/{file.name}" if own_folder else file.name)
    for name in ("train.csv", "sample_submission.csv"):
        (outer / name).write_text((folder / name).read_text())
    unpacked = unpack(zipped(outer, tmp_path / "pets.zip"), tmp_path / "raw")
    assert not list(unpacked.rglob("*.zip"))
    assert kk.load_competition(unpacked).train["source"].tolist()[0] == "train/00000.jpg"


def test_members_that_would_leave_the_folder_are_refused(tmp_path):
    tricks = ("../../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "C:/evil.txt", "..\\evil.txt")
    for number, name in enumerate(tricks):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), "evil")
        with pytest.raises(ValueError, match="would be written outside its folder; refused"):
            unpack(path, tmp_path / "raw")
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "raw").exists() or not list((tmp_path / "raw").iterdir())


def test_links_bombs_and_doubles_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", b"\0" * 10_000_000)
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.txt", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.txt", "2")
    for name, message in (("link", "is a link; refused"), ("bomb", "a zip bomb"), ("twice", "'a.txt' occur more")):
        with pytest.raises(ValueError, match=message):
            unpack(tmp_path / f"{name}.zip", tmp_path / "raw")


def test_damaged_zip_leaves_nothing_behind(make_competition, tmp_path):
    path = zipped(make_competition(), tmp_path / "pets.zip")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"pets.zip is not a whole zip \(.*\); download it again"):
        unpack(path, tmp_path / "raw")
    assert not list((tmp_path / "raw").iterdir())


def test_a_folder_of_zips_says_how_to_unpack_them(tmp_path):
    (tmp_path / "train.zip").touch()
    with pytest.raises(ValueError, match=r"Unpack \['train.zip'\] first: kk.load_competition\('.*train.zip'\)"):
        kk.load_competition(tmp_path)
