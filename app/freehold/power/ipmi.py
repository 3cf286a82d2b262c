"""A server's own power sensor, asked through `ipmitool` on this machine.

Only what this user may do is done: where the device cannot be opened, it says what an
administrator can change. Nothing is ever run with other rights.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

from freehold.errors import AppError

COMMAND: Final = ("dcmi", "power", "reading")
TIMEOUT_S: Final = 8.0
MAX_WATTS: Final = 50_000
_NOW: Final = re.compile(r"^\s*Instantaneous power reading:\s+(\d{1,6})\s+Watts", re.MULTILINE)
RULE: Final = 'KERNEL=="ipmi*", GROUP="users", MODE="0660"'


def ask_ipmi(tool: str | None = None) -> float:
    """Return the machine's power now.

    tool: the program to run, else the `ipmitool` of PATH.
    Raises: AppError saying what is missing and what to do.
    """
    program = tool or shutil.which("ipmitool")
    if program is None:
        raise AppError(
            "not_supported",
            "The program ipmitool is not on this machine.",
            "Install the package ipmitool, then try again.",
        )
    try:
        done = subprocess.run(
            [program, *COMMAND],
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise AppError(
            "network_failed",
            f"ipmitool did not answer within {TIMEOUT_S:.0f} seconds.",
            "The management board may be busy or hang: try again later.",
            retryable=True,
        ) from error
    except OSError as error:
        raise AppError(
            "not_supported", f"{program} cannot be run: {error.strerror}.", "Install it again."
        ) from error
    said = (done.stdout + done.stderr)[:10_000].decode("utf-8", "replace")
    return parse_ipmi(said)


def parse_ipmi(said: str) -> float:
    """Return the watts of what `ipmitool dcmi power reading` said.

    Raises: AppError where it says none, with the reason.
    """
    found = _NOW.search(said)
    if found is not None and 0 < int(found[1]) <= MAX_WATTS:
        return float(found[1])
    lowered = said.lower()
    if "could not open device" in lowered or "permission denied" in lowered:
        raise AppError(
            "no_permission",
            "This user may not open the machine's IPMI device.",
            "Freehold never asks for root. An administrator can put this line into "
            f"/etc/udev/rules.d/60-ipmi.rules and restart the machine: {RULE}",
            detail={"udev_rule": RULE},
        )
    raise AppError(
        "not_supported",
        "ipmitool answers, but tells no power of the machine.",
        "This board may not measure power; a smart plug always does.",
    )
