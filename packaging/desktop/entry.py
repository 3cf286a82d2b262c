"""The text of the desktop entry, for the menu and for the start at login."""

from __future__ import annotations

from pathlib import Path

NAME = "freehold.desktop"
# Characters that the desktop entry specification reserves inside an Exec argument.
RESERVED = set(" \t\n\"'\\><~|&;$*?#()`")


def menu_entry(template: str, command: Path) -> str:
    """Return the entry for the menu, starting `command` by its absolute path.

    A model file that is opened with it is handed on (`%f`).
    """
    return _fill(template, f"{quote(str(command))} %f", command)


def autostart_entry(template: str, command: Path) -> str:
    """Return the entry for the start at login: no window, the tray icon alone."""
    text = _fill(template, f"{quote(str(command))} desktop --hidden", command)
    return f"{text}X-GNOME-Autostart-enabled=true\n"


def quote(argument: str) -> str:
    """Return an Exec argument as the specification wants it.

    Raises: ValueError for a line break, which no entry can hold.
    """
    if "\n" in argument or "\r" in argument:
        raise ValueError("a path with a line break cannot stand in a desktop entry")
    escaped = argument.replace("%", "%%")
    if not RESERVED & set(argument):
        return escaped
    for character in ("\\", '"', "`", "$"):
        escaped = escaped.replace(character, f"\\{character}")
    # The value of a key is unescaped once more before Exec is taken apart.
    return '"' + escaped.replace("\\", "\\\\") + '"'


def _fill(template: str, exec_line: str, command: Path) -> str:
    try_exec = str(command).replace("\\", "\\\\")
    return template.replace("@EXEC@", exec_line).replace("@TRY_EXEC@", try_exec)
