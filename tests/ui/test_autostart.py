"""Start at login: the entry is right, and the person's own removal is respected."""

from __future__ import annotations

from pathlib import Path

import pytest

from freehold.ui.settings import autostart


def test_on_and_off(tmp_path: Path) -> None:
    path = tmp_path / "autostart" / "freehold.desktop"
    assert not autostart.is_enabled(path)
    autostart.enable(path, ("/opt/freehold/bin/freehold", "desktop", "--hidden"))
    assert autostart.is_enabled(path)
    assert "Exec=/opt/freehold/bin/freehold desktop --hidden\n" in path.read_text()
    autostart.disable(path)
    autostart.disable(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "[Desktop Entry]\nType=Application\nExec=x\nHidden=true\n",
        "[Desktop Entry]\nExec=x\nX-GNOME-Autostart-enabled=false\n",
        "[Something Else]\nExec=x\n",
        "no section at all",
        "[Desktop Entry",
        "",
    ],
)
def test_what_the_desktop_would_not_start_counts_as_off(tmp_path: Path, text: str) -> None:
    path = tmp_path / "freehold.desktop"
    path.write_text(text)
    assert not autostart.is_enabled(path)


def test_a_file_that_is_no_text_counts_as_off(tmp_path: Path) -> None:
    path = tmp_path / "freehold.desktop"
    path.write_bytes(b"\xff\xfe[Desktop Entry]")
    assert not autostart.is_enabled(path)


def test_words_are_quoted_for_the_specification() -> None:
    assert autostart.quote("/usr/bin/freehold") == "/usr/bin/freehold"
    assert autostart.quote("/home/a b/x") == '"/home/a b/x"'
    assert autostart.quote("100%") == "100%%"
    assert autostart.quote('a"b') == '"a\\\\"b"'


def test_the_entry_is_in_the_users_autostart_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert autostart.entry_path() == tmp_path / "autostart" / "freehold.desktop"
    assert autostart.launch_command()[-2:] == ("desktop", "--hidden")
