"""What is remembered of this machine: its speeds, what models really ran at, what tuning found.

One JSON file. The server writes it, and so may `freehold machine --calibrate` and `freehold tune`
while a server runs: it is read again when it has changed, and written as a whole.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from freehold.errors import AppError
from freehold.machine.calibration import Calibration
from freehold.machine.learning import Runs
from freehold.machine.tuning import Tuned
from freehold.secrets import write_private
from freehold.wire_machine import Inventory

log = logging.getLogger(__name__)

SCHEMA: Final = 1
MOST_ENTRIES: Final = 500


class Remembered(msgspec.Struct, frozen=True):
    """The file. calibrations: by machine; runs: by machine, model and placement; tuned: by
    machine and model."""

    schema: int = SCHEMA
    calibrations: dict[str, Calibration] = {}
    runs: dict[str, Runs] = {}
    tuned: dict[str, Tuned] = {}


def machine_key(inventory: Inventory) -> str:
    """Return what tells this machine from others that share a home folder."""
    cpu = inventory.cpu
    parts = [cpu.name, str(cpu.cores), str(inventory.memory.total_bytes)]
    parts += sorted(gpu.uuid for gpu in inventory.gpus)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class MachineMemory:
    """Reads and writes the file; may be used from threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._held = Remembered()

    def read(self) -> Remembered:
        """Return what is remembered now; nothing where the file is missing or damaged."""
        with self._turn:
            return self._read()

    def _read(self) -> Remembered:
        try:
            stat = self._path.stat()
        except OSError:
            self._stamp, self._held = None, Remembered()
            return self._held
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                held = msgspec.json.decode(self._path.read_bytes(), type=Remembered)
                self._held = held if held.schema == SCHEMA else Remembered()
            except (OSError, msgspec.DecodeError) as error:
                log.warning("what was measured of this machine could not be read: %s", error)
                self._held = Remembered()
        return self._held

    def change(self, change: Callable[[Remembered], Remembered]) -> Remembered:
        """Write what `change` makes of what is remembered.

        Raises: AppError `no_permission` or `disk_full`.
        """
        with self._turn:
            changed = change(self._read())
            write_private(self._path, msgspec.json.encode(changed).decode())
            self._held, self._stamp = changed, None
            return changed

    # --- calibration ------------------------------------------------------------------------

    def calibration(self, machine: str) -> Calibration | None:
        """Return what was measured of a machine last."""
        return self.read().calibrations.get(machine)

    def keep_calibration(self, found: Calibration) -> None:
        """Remember a measurement in place of the one before.

        Raises: AppError as `change`.
        """
        self.change(
            lambda held: msgspec.structs.replace(
                held, calibrations={**held.calibrations, found.machine: found}
            )
        )

    # --- real runs --------------------------------------------------------------------------

    def runs(self, key: str) -> Runs | None:
        """Return what a model really ran at, placed as `key` says."""
        return self.read().runs.get(key)

    def note_run(self, key: str, decode_ratio: float, decode_tokens_per_s: float) -> None:
        """Remember one more run; a file that cannot be written is only logged."""

        def change(held: Remembered) -> Remembered:
            runs = dict(held.runs)
            noted = runs.pop(key, Runs()).with_run(decode_ratio, decode_tokens_per_s)
            runs[key] = noted  # the newest last
            while len(runs) > MOST_ENTRIES:
                del runs[next(iter(runs))]
            return msgspec.structs.replace(held, runs=runs)

        try:
            self.change(change)
        except AppError as error:
            log.warning("a run was not remembered: %s", error.message)

    # --- tuning -----------------------------------------------------------------------------

    def tuned(self, key: str) -> Tuned | None:
        """Return what tuning found for a model on a machine."""
        return self.read().tuned.get(key)

    def keep_tuned(self, key: str, found: Tuned | None) -> None:
        """Remember what tuning found; None forgets it.

        Raises: AppError as `change`.
        """

        def change(held: Remembered) -> Remembered:
            rest = {name: value for name, value in held.tuned.items() if name != key}
            return msgspec.structs.replace(
                held, tuned=rest if found is None else {**rest, key: found}
            )

        self.change(change)
