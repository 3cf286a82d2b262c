"""`freehold doctor`: check this installation and say what to do."""

from __future__ import annotations

import argparse
import json

from freehold import __version__
from freehold.doctor import examination, installation, native
from freehold.paths import user_paths
from freehold.server.schemas import SCHEMAS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 if something Freehold needs is wrong."""
    paths = user_paths()
    state = native.look(installation.environment_folder())
    checks = examination.examine(paths, state, SCHEMAS)
    if args.json:
        print(json.dumps(examination.to_json(checks, state)))
    else:
        print(f"Freehold {__version__}")
        print(examination.to_text(checks))
        print(f"Logs: {paths.logs}")
    return 1 if any(check.needed and not check.ok for check in checks) else 0
