"""Children that make models: their lines read as they come, ended when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.engine.process import worker_environment
from freehold.engine.quantise_job import Job
from freehold.errors import AppError

log = logging.getLogger(__name__)

LINE_BYTES: Final = 1 << 20
LAST_LINES: Final = 20

Tell = Callable[[dict[str, Any]], None]


async def quantise(job: Job, tell: Tell) -> dict[str, Any]:
    """Run llama.cpp's quantiser; `tell` hears of each tensor. Cancelling ends the child.

    Returns the child's last word. Raises: AppError `invalid_model` with what llama.cpp said.
    """
    environment = worker_environment(os.environ)
    environment["CUDA_VISIBLE_DEVICES"] = "-1"  # it works on the CPU alone
    last: dict[str, Any] = {}

    def take(line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "tensor" in said:
            tell(said)
        else:
            last.update(said)

    code = await run(
        (sys.executable, "-m", "freehold.engine.quantize"),
        environment,
        take,
        given=msgspec.json.encode(job) + b"\n",
    )
    if "done" not in last:
        lines = [str(line) for line in last.get("error", [])]
        raise explain(lines, code)
    return last


def explain(lines: Sequence[str], code: int) -> AppError:
    """Return why the quantiser failed, from its last lines."""
    text = "\n".join(lines)
    detail = {"log": list(lines[-12:]), "status": code}
    if "requires an imatrix" in text or "importance matrix" in text:
        return AppError(
            "invalid_request",
            "This mix needs an importance matrix for this model.",
            "Choose the model's imatrix file, or a mix of more bits.",
            detail=detail,
        )
    if "No space left" in text or "basic_ios::clear" in text or "iostream error" in text:
        return AppError(
            "disk_full",
            "The result could not be written: the disk is full or gone.",
            "Make room and begin again.",
            detail=detail,
        )
    if code < 0:
        return AppError(
            "engine_crashed",
            f"The quantiser ended in the middle of it (signal {-code}).",
            "If memory ran out, close other programs; its last words are in the details.",
            retryable=True,
            detail=detail,
        )
    reason = next((line for line in reversed(lines) if "failed to quantize" in line), "")
    said = reason.partition("failed to quantize:")[2].strip()
    return AppError(
        "invalid_model",
        f"llama.cpp could not quantise this model{f': {said[:200]}' if said else '.'}",
        "Its last words are in the details.",
        detail=detail,
    )


async def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    take: Callable[[bytes], None],
    *,
    given: bytes = b"",
    folder: Path | None = None,
    with_errors: bool = False,
) -> int:
    """Run a child, hand each line it writes to `take`, and return its exit status.

    with_errors: also what it writes to its standard error.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if with_errors else asyncio.subprocess.DEVNULL,
        limit=LINE_BYTES,
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(given)
            await process.stdin.drain()
        process.stdin.close()
        while line := await _read_line(process.stdout):
            take(line)
        return await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    """Return the next line; progress bars end theirs with a carriage return."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await stream.read(error.consumed)
