"""Start at login: the entry in the XDG autostart folder, which the person may remove."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

NAME = "freehold.desktop"
# Characters that the desktop entry specification reserves inside an Exec argument.
_RESERVED = set(" \t\n\"'\\><~|&;$*?#()`")
_TEXT = """[Desktop Entry]
Type=Application
Version=1.4
Name=Freehold
Comment=Own the language models you use
Exec={command}
Icon=freehold
Terminal=false
StartupNotify=false
X-GNOME-Autostart-enabled=true
"""


def entry_path() -> Path:
    """Return where the entry is, or would be."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "autostart" / NAME


def is_enabled(path: Path | None = None) -> bool:
    """Return whether the desktop starts Freehold at login, honouring `Hidden=true`."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string((path or entry_path()).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return False
    section = parser["Desktop Entry"] if parser.has_section("Desktop Entry") else None
    if section is None:
        return False
    enabled = section.get("X-GNOME-Autostart-enabled", "true").lower()
    return section.get("Hidden", "false").lower() != "true" and enabled != "false"


def enable(path: Path | None = None, command: tuple[str, ...] | None = None) -> None:
    """Write the entry; it opens in the tray, without the window."""
    target = path or entry_path()
    words = command or launch_command()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_text(_TEXT.format(command=" ".join(quote(word) for word in words)), encoding="utf-8")
    part.replace(target)


def disable(path: Path | None = None) -> None:
    """Remove the entry."""
    (path or entry_path()).unlink(missing_ok=True)


def launch_command() -> tuple[str, ...]:
    """Return how this installation is started hidden."""
    script = Path(sys.executable).with_name("freehold")
    start = (str(script),) if script.exists() else (sys.executable, "-m", "freehold")
    return (*start, "desktop", "--hidden")


def quote(word: str) -> str:
    """Return a word of Exec as the desktop entry specification wants it."""
    escaped = word.replace("%", "%%")
    if not _RESERVED & set(word):
        return escaped
    for character in ("\\", '"', "`", "$"):
        escaped = escaped.replace(character, f"\\{character}")
    return '"' + escaped.replace("\\", "\\\\") + '"'
