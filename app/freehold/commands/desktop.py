"""`freehold [desktop]`: open the window."""

from __future__ import annotations

import argparse
from pathlib import Path

from freehold.errors import AppError
from freehold.paths import user_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model", nargs="?", metavar="PATH.gguf", help="add this model file to the library"
    )
    parser.add_argument("--hidden", action="store_true", help="start in the tray, without a window")
    parser.add_argument("--new-chat", action="store_true", help="begin a new chat")
    parser.add_argument(
        "--connect",
        default="",
        metavar="URL",
        help="use the server at this address (its key in FREEHOLD_KEY) instead of this machine's",
    )


def run(args: argparse.Namespace) -> int:
    """Open the window, or raise the one that is open."""
    path = ""
    if args.model:
        file = Path(args.model).expanduser().absolute()
        if not file.exists():
            raise AppError(
                "not_found", f"There is no file {file}.", "Give the path of a .gguf file."
            )
        path = str(file)
    try:
        from freehold.ui import application, desktop
    except ImportError as error:
        raise AppError(
            "not_supported",
            f"The window cannot be opened: {error}",
            "Run `freehold doctor`; it names the system library that is missing.",
        ) from error
    launch = desktop.Launch(hidden=args.hidden, new_chat=args.new_chat, model_path=path)
    return application.run(user_paths(), launch, address=args.connect)
