"""Result folders that appear complete or not at all."""

from pathlib import Path

import pytest

from adaptation.support.errors import UserError
from adaptation.support.files import MARKER, result_folder


def test_folder_appears_whole(tmp_path):
    with result_folder(tmp_path / "out", overwrite=False) as folder:
        (folder / "a.txt").write_text("a")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a.txt").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_left_of_a_failure(tmp_path):
    with pytest.raises(UserError, match="bad"):
        with result_folder(tmp_path / "out", overwrite=False) as folder:
            (folder / "a.txt").write_text("a")
            raise UserError("bad")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [UserError("{}/a.npz: no space"), OSError(28, "No space left", "{}/a.npz")])
def test_messages_name_the_folder_that_was_asked_for(tmp_path, error):
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"out/a\.npz") as raised, result_folder(out, overwrite=False) as folder:
        if isinstance(error, UserError):
            raise UserError(str(error).format(folder))
        raise OSError(error.errno, error.strerror, error.filename.format(folder))
    assert f"{out}/a.npz" in str(raised.value)


def test_interruption_keeps_the_earlier_results(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_text("{}")
    with pytest.raises(KeyboardInterrupt):
        with result_folder(out, overwrite=True):
            raise KeyboardInterrupt
    assert [path.name for path in out.iterdir()] == [MARKER]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_earlier_results_are_replaced_only_when_asked(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_text("{}")
    with pytest.raises(UserError, match="not empty"):
        with result_folder(out, overwrite=False):
            pass
    with result_folder(out, overwrite=True) as folder:
        (folder / "b.txt").write_text("b")
    assert [path.name for path in out.iterdir()] == ["b.txt"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="does not hold results"):
        with result_folder(tmp_path, overwrite=True):
            pass
    assert (tmp_path / "thesis.tex").exists()


def test_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"):
        with result_folder(tmp_path / "out", overwrite=True):
            pass


def test_parents_made_for_a_failure_are_removed(tmp_path):
    (tmp_path / "kept").mkdir()
    with pytest.raises(UserError, match="bad"):
        with result_folder(tmp_path / "kept" / "a" / "out", overwrite=False):
            raise UserError("bad")
    assert list(tmp_path.rglob("*")) == [tmp_path / "kept"]


@pytest.mark.parametrize("out", [".", "link", "link/below"])
def test_the_working_folder_and_links_are_followed(tmp_path, monkeypatch, out):
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(tmp_path / "elsewhere")
    if out == ".":
        (target / "link").unlink()
    else:
        (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(target)
    with result_folder(Path(out), overwrite=False) as folder:
        (folder / "a.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert (target / out / "a.txt").read_text() == "a"
    assert not [path for path in tmp_path.rglob(".*")]
