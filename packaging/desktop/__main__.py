"""`python3 -m desktop install|uninstall`: what `make install` and `make uninstall` run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from desktop import installation

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Install or uninstall for the signed-in user; return the exit status."""
    parser = argparse.ArgumentParser(prog="desktop", description=__doc__)
    parser.add_argument("action", choices=("install", "uninstall"))
    parser.add_argument(
        "--autostart", choices=("0", "1"), help="start at login without asking: 1 yes, 0 no"
    )
    args = parser.parse_args()
    folders = installation.user_folders()
    try:
        if args.action == "uninstall":
            removed = installation.uninstall(ROOT, folders)
            _list("Removed", removed)
            print("Chats, models and settings are where they were.")
            return 0
        _list(
            "Installed", installation.install(ROOT, folders, autostart=_autostart(args.autostart))
        )
    except OSError as error:
        print(f"{error.filename}: {error.strerror}. Check who owns that folder.", file=sys.stderr)
        return 1
    print("Freehold is in your menu now.")
    return 0


def _autostart(choice: str | None) -> bool | None:
    """Return the person's choice; ask on a terminal, otherwise None."""
    if choice is not None:
        return choice == "1"
    if not sys.stdin.isatty():
        return None
    answer = input("Start Freehold in the tray when you sign in? [y/N] ")
    return answer.strip().lower() in {"y", "yes"}


def _list(what: str, paths: list[Path]) -> None:
    for path in paths:
        print(f"{what} {path}")


if __name__ == "__main__":
    sys.exit(main())
