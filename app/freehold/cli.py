"""The `freehold` command line.

Exit status: 0 done, 1 failed (one sentence on stderr), 2 wrong use. With `--json` a command
prints one JSON document (or one a line where it streams) and nothing else on stdout.
Each command's module is imported only when that command runs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from freehold import __version__
from freehold.errors import AppError, internal

log = logging.getLogger(__name__)

COMMANDS: Final[dict[str, str]] = {
    "desktop": "open the window (the default)",
    "serve": "run the background server without a window",
    "chat": "chat with a model in the terminal",
    "search": "find models on the hub",
    "show": "show a repository of the hub and whether it fits, or what a model here holds",
    "pull": "download a model",
    "verify": "compare a model's files with their checksums",
    "quantise": "make a model smaller with llama.cpp's own quantiser",
    "convert": "make a GGUF from a checkpoint in safetensors",
    "docs": "ask files, and get answers with proof",
    "models": "list the models on this machine",
    "import": "add a GGUF file to the library, in place",
    "rm": "remove a model from the library",
    "load": "load a model into its engine process",
    "unload": "unload a model and free its memory",
    "machine": "what this machine is made of, and how fast it is",
    "plan": "what fits on this machine or one you may buy, why, and how fast",
    "tune": "find the settings a model runs fastest with on this machine",
    "cost": "what owning costs, and whether it pays",
    "power": "what this machine draws now",
    "doctor": "check this installation and say what to do",
    "bench": "measure this machine with this build",
    "dev": "tools for developers of Freehold",
}

# Other spellings of a command.
ALIASES: Final[dict[str, str]] = {"quantize": "quantise"}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of `command` alone filled in."""
    parser = argparse.ArgumentParser(
        prog="freehold", description="Own the language models you use."
    )
    parser.add_argument("--version", action="version", version=f"freehold {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name == command:
            module = importlib.import_module(
                f"freehold.commands.{name.replace('import', 'import_')}"
            )
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if opens_window(arguments):
        arguments = ["desktop", *arguments]
    place = next((n for n, word in enumerate(arguments) if not word.startswith("-")), None)
    if place is not None:
        arguments[place] = ALIASES.get(arguments[place], arguments[place])
    command = arguments[place] if place is not None else None
    parser = build_parser(command)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 2
    try:
        status = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        return stop_printing()
    except AppError as error:
        return report(error, as_json=getattr(args, "json", False))
    except KeyboardInterrupt:
        return 130
    except Exception:
        log.exception("command %s failed", args.command)
        return report(internal(), as_json=getattr(args, "json", False))
    return status


def stop_printing() -> int:
    """Give up the standard output, whose reader has left (`freehold models | head -1`)."""
    # Else Python fails once more at its end, when it writes out what is still held.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def opens_window(arguments: Sequence[str]) -> bool:
    """Return whether the words mean `desktop` without naming it: nothing, its options, a file."""
    if not arguments:
        return True
    first = arguments[0]
    return first.endswith(".gguf") or first.split("=")[0] in ("--hidden", "--new-chat", "--connect")


def report(error: AppError, *, as_json: bool) -> int:
    """Print an error as one sentence on stderr (and as JSON on stdout when asked); return 1."""
    if as_json:
        print(json.dumps({"error": error.to_dict()}))
    print(f"freehold: {error.sentence}", file=sys.stderr)
    return 1
