"""What is dropped or pasted becomes files: folders opened, models set aside, limits said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.ui.state.gathering import (
    LONG_TEXT,
    gather,
    is_model,
    isolated,
    pasted_name,
    shown_name,
)
from freehold.ui.state.pace import Pace


def put(folder: Path, *names: str) -> list[str]:
    paths = []
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words")
        paths.append(str(path))
    return paths


def test_a_folder_is_opened_in_order_without_what_is_hidden_or_linked(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "a/c.pdf", "a/.hidden", ".git/config", "a/d/e.md")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = gather([str(tmp_path)])
    assert found.files == tuple(str(tmp_path / name) for name in ("b.txt", "a/c.pdf", "a/d/e.md"))
    assert found.notes == ()


def test_models_are_set_aside_wherever_they_lie(tmp_path: Path) -> None:
    put(tmp_path, "set/kimi.gguf", "set/notes.txt", "one.GGUF")
    found = gather([str(tmp_path / "set"), str(tmp_path / "one.GGUF")])
    assert found.files == (str(tmp_path / "set/notes.txt"),)
    assert [Path(m).name for m in found.models] == ["kimi.gguf", "one.GGUF"]
    assert is_model("/x/A.GGUF")
    assert not is_model("/x/gguf.pdf")


def test_what_is_over_the_limit_is_counted_and_said(tmp_path: Path) -> None:
    paths = put(tmp_path, *(f"{n:03}.txt" for n in range(12)))
    found = gather(paths, room=5)
    assert len(found.files) == 5
    (note,) = found.notes
    assert "7 more files were not added" in note
    assert "200" in note
    assert "collection" in note


def test_an_empty_folder_and_a_missing_file_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = gather([str(tmp_path / "empty"), "/nowhere/gone.pdf"])
    assert found.files == ("/nowhere/gone.pdf",)  # its own chip says that it is not there
    assert "no files" in found.notes[0]


def test_the_same_file_dropped_twice_is_one(tmp_path: Path) -> None:
    (path,) = put(tmp_path, "a.txt")
    assert gather([path, path, str(tmp_path)]).files == (path,)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("/home/ada/תקציב.docx", "תקציב.docx"),
        ("C:\\docs\\a.pdf", "a.pdf"),
        ("a\nb\x07.txt", "ab.txt"),
        ("\u2066\u2069", "unnamed"),
        ("/", "unnamed"),
    ],
)
def test_names_cannot_turn_text_around(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert isolated(name) == f"\u2068{shown}\u2069"


@given(st.text(max_size=60))
def test_any_pasted_text_gets_a_name_that_is_a_plain_file_name(text: str) -> None:
    name = pasted_name(text, 3)
    assert name.endswith(".md")
    assert "/" not in name
    assert "\\" not in name
    assert shown_name(name) == name


def test_a_pasted_text_is_named_by_its_first_words() -> None:
    assert pasted_name("# Minutes of May\n\nAll were there.", 1) == "Minutes of May.md"
    assert pasted_name("---\n***\n", 2) == "Pasted text 2.md"
    assert LONG_TEXT > 1000


def test_the_time_left_follows_the_pace_and_is_not_guessed_at_once() -> None:
    pace = Pace()
    pace.note("prefill", 0, 40_000, now_s=100.0)
    assert pace.left_s is None
    pace.note("prefill", 1_000, 40_000, now_s=100.5)
    assert pace.left_s is None
    pace.note("prefill", 10_000, 40_000, now_s=105.0)
    assert pace.left_s == pytest.approx(15.0)
    pace.note("reading", 1, 12, now_s=106.0)
    assert pace.left_s is None, "another thing is counted anew"
    pace.note("reading", 11, 12, now_s=116.0)
    assert pace.left_s is None, "what is nearly done needs no figure"
