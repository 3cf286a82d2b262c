"""Put the entry, the icons and the start at login into the user's own folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desktop import entry

SYMBOLIC = "-symbolic"
FILE_TYPE = "freehold-gguf.xml"


@dataclass(frozen=True, slots=True)
class UserFolders:
    """Where the desktop looks for what a user installed."""

    data: Path
    config: Path
    programs: Path

    @property
    def menu_entry(self) -> Path:
        return self.data / "applications" / entry.NAME

    @property
    def autostart_entry(self) -> Path:
        return self.config / "autostart" / entry.NAME

    @property
    def file_type(self) -> Path:
        return self.data / "mime/packages" / FILE_TYPE

    @property
    def command(self) -> Path:
        return self.programs / "freehold"

    def icon(self, name: str) -> Path:
        """Return where an icon of this name goes in the hicolor theme."""
        kind = "symbolic" if name.endswith(SYMBOLIC) else "scalable"
        return self.data / "icons/hicolor" / kind / "apps" / f"{name}.svg"


def user_folders(environment: Mapping[str, str] = os.environ) -> UserFolders:
    """Return the signed-in user's folders by the XDG rules."""
    home = Path(environment.get("HOME") or Path.home())
    data = environment.get("XDG_DATA_HOME")
    config = environment.get("XDG_CONFIG_HOME")
    return UserFolders(
        Path(data) if data else home / ".local/share",
        Path(config) if config else home / ".config",
        home / ".local/bin",
    )


def install(root: Path, folders: UserFolders, *, autostart: bool | None) -> list[Path]:
    """Install for this user; return what was written. Doing it again changes nothing else.

    autostart: None leaves the start at login as the person has it.
    """
    command = root / ".venv/bin/freehold"
    template = (root / "packaging/freehold.desktop.in").read_text("utf-8")
    written = [_write(folders.menu_entry, entry.menu_entry(template, command))]
    file_type = (root / "packaging" / FILE_TYPE).read_text("utf-8")
    written.append(_write(folders.file_type, file_type))
    if autostart:
        text = entry.autostart_entry(template, command)
        written.append(_write(folders.autostart_entry, text))
    elif autostart is False:
        folders.autostart_entry.unlink(missing_ok=True)
    for icon in icons(root):
        target = folders.icon(icon.stem)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(icon, target)
        written.append(target)
    if _may_replace(folders.command):
        folders.command.parent.mkdir(parents=True, exist_ok=True)
        folders.command.unlink(missing_ok=True)
        folders.command.symlink_to(command)
        written.append(folders.command)
    refresh(folders)
    return written


def uninstall(root: Path, folders: UserFolders) -> list[Path]:
    """Remove what `install` wrote; return it. Chats, models and settings stay."""
    candidates = [folders.menu_entry, folders.autostart_entry, folders.file_type]
    candidates += [folders.icon(icon.stem) for icon in icons(root)]
    if folders.command.is_symlink() and _may_replace(folders.command):
        candidates.append(folders.command)
    removed = [path for path in candidates if path.is_symlink() or path.exists()]
    for path in removed:
        path.unlink()
    refresh(folders)
    return removed


def icons(root: Path) -> list[Path]:
    """Return the icons that belong to the program itself."""
    return sorted((root / "resources/icons").glob("freehold*.svg"))


def refresh(folders: UserFolders) -> None:
    """Tell the desktop that menu and file types changed, where the tools for that are there."""
    tools = (
        ("update-mime-database", folders.data / "mime"),
        ("update-desktop-database", folders.data / "applications"),
    )
    for tool, folder in tools:
        if shutil.which(tool) and folder.is_dir():
            subprocess.run([tool, str(folder)], check=False)


def _may_replace(command: Path) -> bool:
    """Return whether the command's place is free or holds a link that `install` made."""
    if command.is_symlink():
        return Path(os.readlink(command)).parts[-3:] == (".venv", "bin", "freehold")  # noqa: PTH115
    return not command.exists()


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)
    return path
