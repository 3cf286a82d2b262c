"""Asks llama.cpp, in a child process, what a load would allocate."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from freehold.engine.process import worker_environment
from freehold.engine.requests import BufferOverride, LoadOptions, Placement
from freehold.errors import AppError
from freehold.wire import LoadRequest

log = logging.getLogger(__name__)

ANSWER_S: Final = 30.0
END_S: Final = 5.0
LINE_BYTES: Final = 1 << 20

Breakdown = dict[str, dict[str, int]]


class Measured(msgspec.Struct, frozen=True):
    """What llama.cpp says of a load: bytes by device and kind, and the nodes of a step's graph."""

    devices: Breakdown
    nodes: int | None = None


class MeasureProcess:
    """A child that answers what loads would take; one question at a time, ended with `close`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> MeasureProcess:
        """Start the child."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "freehold.engine.measure",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
            env=worker_environment(os.environ),
        )
        return cls(process)

    async def ask(self, options: LoadOptions) -> Measured | None:
        """Return what a load takes; None where llama.cpp died of the question.

        Raises: AppError as loading would, `invalid_model` or `unsupported_architecture`.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            async with asyncio.timeout(ANSWER_S):
                stdin.write(msgspec.json.encode(options) + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except (OSError, TimeoutError) as error:
            log.warning("asking llama.cpp for sizes failed: %s", type(error).__name__)
            return None
        if not line:
            log.warning("llama.cpp ended while it worked out sizes")
            return None
        answer = json.loads(line)
        if "error" in answer:
            raise AppError.from_dict(answer["error"])
        return msgspec.convert(answer, Measured)

    async def close(self) -> None:
        """End the child."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                async with asyncio.timeout(END_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def to_options(path: Path, load: LoadRequest, *, embeddings: bool) -> LoadOptions:
    """Return the engine's options for a plan's load; only what decides sizes."""
    return LoadOptions(
        path=str(path),
        placement=Placement(
            devices=load.devices,
            gpu_layers=load.gpu_layers,
            split_mode=load.split_mode or "layer",
            tensor_split=load.tensor_split or (),
            overrides=tuple(
                BufferOverride(pattern=pattern, buffer=buffer)
                for pattern, buffer in load.overrides or ()
            ),
        ),
        context_tokens=load.context_tokens,
        parallel=load.parallel or 4,
        kv_type_k=load.kv_type_k or "f16",
        kv_type_v=load.kv_type_v or "f16",
        memory="read",
        repack=load.repack is not False,
        embeddings=embeddings,
    )
