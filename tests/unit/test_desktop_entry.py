"""`make install`: the menu entry, the icons and the start at login."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtSvg import QSvgRenderer

from desktop import entry, installation

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / "packaging/freehold.desktop.in").read_text("utf-8")


def parse(text: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser["Desktop Entry"]


def read_exec(value: str) -> list[str]:
    """Take an Exec value apart as the specification says: string escapes, then quoting."""
    unescaped = re.sub(r"\\(.)", lambda found: {"s": " "}.get(found[1], found[1]), value)
    words = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', unescaped):
        word = re.sub(r'\\(["`$\\])', r"\1", quoted) if quoted else plain
        words.append(word.replace("%%", "%"))
    return words


def test_the_entry_starts_the_program_by_its_absolute_path() -> None:
    fields = parse(entry.menu_entry(TEMPLATE, Path("/opt/freehold/.venv/bin/freehold")))
    assert fields["Exec"] == "/opt/freehold/.venv/bin/freehold %f"
    assert fields["MimeType"] == "application/x-gguf;"
    assert fields["TryExec"] == "/opt/freehold/.venv/bin/freehold"
    assert fields["Icon"] == "freehold"
    assert fields["Terminal"] == "false"
    assert "@" not in fields["Exec"]


def test_the_start_at_login_opens_no_window() -> None:
    fields = parse(entry.autostart_entry(TEMPLATE, Path("/opt/freehold")))
    assert read_exec(fields["Exec"]) == ["/opt/freehold", "desktop", "--hidden"]


@pytest.mark.parametrize(
    "path", ["/home/a b/freehold", '/tmp/"q"/$x', "/a/100%/b", "/back\\slash/`tick`", "/ä/ü"]
)
def test_paths_with_odd_characters_come_back_whole(path: str) -> None:
    fields = parse(entry.menu_entry(TEMPLATE, Path(path)))
    assert read_exec(fields["Exec"]) == [path, "%f"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_any_printable_path_comes_back_whole(text: str) -> None:
    assert read_exec(entry.quote("/" + text)) == ["/" + text]


def test_a_line_break_cannot_smuggle_in_another_key() -> None:
    with pytest.raises(ValueError, match="line break"):
        entry.quote("/tmp/x\nExec=evil")


def test_desktop_file_validate_has_nothing_to_say(tmp_path: Path) -> None:
    validate = shutil.which("desktop-file-validate")
    if validate is None:
        pytest.skip("desktop-file-utils is not installed")
    program = Path("/usr/bin/env")
    for text in (
        entry.menu_entry(TEMPLATE, program),
        entry.autostart_entry(TEMPLATE, Path("/a b/$c/freehold")),
    ):
        path = tmp_path / "freehold.desktop"
        path.write_text(text)
        result = subprocess.run([validate, str(path)], capture_output=True, text=True, timeout=30)
        assert (result.returncode, result.stdout) == (0, "")


# --- installing ------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path) -> installation.UserFolders:
    return installation.user_folders({"HOME": str(tmp_path / "home")})


def test_install_and_uninstall_leave_nothing_behind(folders: installation.UserFolders) -> None:
    written = installation.install(ROOT, folders, autostart=True)
    assert all(path.is_symlink() or path.is_file() for path in written)
    assert folders.menu_entry.exists()
    assert folders.autostart_entry.exists()
    assert folders.icon("freehold").parent.parent.name == "scalable"
    assert folders.icon("freehold-symbolic").parent.parent.name == "symbolic"
    removed = installation.uninstall(ROOT, folders)
    assert sorted(removed) == sorted(written)
    left = [path for path in folders.data.parents[1].rglob("*") if path.is_file()]
    caches = [path for path in left if path.parent == folders.data / "mime"]
    assert [path for path in left if path not in caches and path.name != "mimeinfo.cache"] == []
    assert not any(b"gguf" in path.read_bytes() for path in caches)


def test_model_files_are_known_by_name_and_by_their_first_bytes(
    folders: installation.UserFolders,
) -> None:
    installation.install(ROOT, folders, autostart=False)
    described = ElementTree.parse(folders.file_type)  # noqa: S314 - the repository's own file
    space = "{http://www.freedesktop.org/standards/shared-mime-info}"
    (kind,) = described.getroot()
    assert kind.get("type") == "application/x-gguf"
    assert [glob.get("pattern") for glob in kind.iter(f"{space}glob")] == ["*.gguf"]
    assert [match.get("value") for match in kind.iter(f"{space}match")] == ["GGUF"]
    if shutil.which("update-mime-database"):
        assert "application/x-gguf:*.gguf" in (folders.data / "mime/globs").read_text()


def test_installing_again_without_autostart_takes_it_out(
    folders: installation.UserFolders,
) -> None:
    installation.install(ROOT, folders, autostart=True)
    installation.install(ROOT, folders, autostart=None)  # not asked: stays as it was
    assert folders.autostart_entry.exists()
    installation.install(ROOT, folders, autostart=False)
    assert not folders.autostart_entry.exists()
    assert folders.menu_entry.exists()


def test_a_program_of_that_name_that_is_not_ours_is_left_alone(
    folders: installation.UserFolders,
) -> None:
    folders.programs.mkdir(parents=True)
    folders.command.write_text("#!/bin/sh\n")
    written = installation.install(ROOT, folders, autostart=False)
    assert folders.command not in written
    assert folders.command.read_text() == "#!/bin/sh\n"
    assert folders.command not in installation.uninstall(ROOT, folders)


def test_xdg_folders_are_honoured(tmp_path: Path) -> None:
    found = installation.user_folders(
        {"HOME": "/nowhere", "XDG_DATA_HOME": str(tmp_path / "d"), "XDG_CONFIG_HOME": "/c"}
    )
    assert found.menu_entry == tmp_path / "d/applications/freehold.desktop"
    assert found.autostart_entry == Path("/c/autostart/freehold.desktop")


def test_every_icon_is_a_square_drawing() -> None:
    found = {path.stem for path in installation.icons(ROOT)}
    states = ("", "-busy", "-error", "-off")
    assert found == {"freehold", *(f"freehold{state}-symbolic" for state in states)}
    for path in installation.icons(ROOT):
        root = path.read_text("utf-8").partition(">")[0]
        assert 'viewBox="0 0 64 64" width="64" height="64"' in root or (
            'viewBox="0 0 16 16" width="16" height="16"' in root
        )
        assert QSvgRenderer(str(path)).isValid()
