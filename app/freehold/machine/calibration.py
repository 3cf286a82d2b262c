"""What this machine was measured to do, kept in one small file."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from freehold.secrets import write_private
from freehold.wire_machine import Calibration

log = logging.getLogger(__name__)


def read_calibration(path: Path) -> Calibration | None:
    """Return what was stored, None if nothing was or it cannot be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        log.warning("the calibration of this machine could not be read")
        return None
    speeds = (
        found.memory_bytes_per_s,
        found.weight_bytes_per_s,
        found.attention_bytes_per_s,
        found.prefill_flops,
    )
    return found if all(speed > 0 for speed in speeds) and found.layer_s >= 0 else None


def store_calibration(path: Path, found: Calibration) -> None:
    """Store a calibration.

    Raises: AppError if the file cannot be written.
    """
    write_private(path, msgspec.json.encode(found).decode())
