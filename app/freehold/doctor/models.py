"""The models this machine knows and those that come with Freehold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import apsw

from freehold.doctor.check import Check
from freehold.library import schema
from freehold.library.bundled import find_faults
from freehold.paths import Paths, resources
from freehold.storage import sqlite
from freehold.wire import ModelEntry

MEND = (
    "Install Freehold again (`git checkout resources/models` in a clone), or import another model."
)
NONE_YET = "Add one: `freehold import FILE.gguf`, or Models → Import in the window."


def check_models(paths: Paths) -> Check:
    """Return what the library remembers, read without changing anything."""
    folder = resources() / "models"
    bundled = sorted(path.stem for path in folder.glob("*.gguf"))
    faults = [error.message for error in find_faults(folder)]
    if faults:
        return Check("models", False, " ".join(faults), MEND, needed=False)
    if not paths.database.exists():
        return rate_models((), bundled)
    try:
        connection = sqlite.open_connection(paths.database, read_only=True, busy_wait_s=5)
    except apsw.Error as error:
        problem = sqlite.describe(error, paths.database)
        return Check("models", False, problem.message, problem.hint)
    try:
        entries = [stored.entry for stored in schema.all_models(connection)]
    except apsw.SQLError:
        entries = []  # a database of a version that had no library yet
    except apsw.Error as error:
        problem = sqlite.describe(error, paths.database)
        return Check("models", False, problem.message, problem.hint)
    finally:
        connection.close()
    return rate_models(entries, bundled)


def rate_models(entries: Iterable[ModelEntry], bundled: Iterable[str]) -> Check:
    """Return how many models are there and which of them lost their file."""
    known = list(entries)
    lost = [entry.ref for entry in known if not Path(entry.path).exists()]
    detail = f"{len(known)} known; bundled: {', '.join(bundled) or 'none'}"
    if lost:
        return Check(
            "models",
            False,
            f"{detail}; files missing of {', '.join(lost)}",
            "Connect the disk they lie on, or remove them with `freehold rm`.",
            needed=False,
        )
    return Check("models", True, detail, "" if known else NONE_YET, needed=False)
