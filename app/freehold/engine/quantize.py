"""Quantise a model with llama.cpp's own quantiser, in a process of its own.

`python -m freehold.engine.quantize` reads one `Job` as JSON from standard input and writes a line
for each tensor, `{"tensor": "blk.0…", "number": 1, "of": 52, "type": "q4_K"}`, and at the end
`{"done": true, "needs_matrix": false}` or `{"error": [last lines of llama.cpp's log]}`. Killing the
process is how it is cancelled; what llama.cpp aborts on ends this process and nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from llama_cpp import llama_cpp as native

from freehold.engine.quantise_job import NO_TYPE, Job

_LINE: Final = re.compile(r"\[ *(\d+)/ *(\d+)\] +(\S+) +- \[[^\]]*\], type = +(\S+), (.*)")
_TARGET: Final = re.compile(r"\((\w+)\)\s*$|converting to (\w+)")
_NEEDS_MATRIX: Final = "will require an imatrix"
KEPT_LINES: Final = 30


class Log:
    """Receives llama.cpp's log, which is the only way it tells how far it is."""

    def __init__(self, tell: Callable[[dict[str, object]], None]) -> None:
        self._tell = tell
        self._open = ""
        self.lines: list[str] = []
        self.needs_matrix = False
        self._told = 0
        self._callback: Any = native.llama_log_callback(self._receive)

    def install(self) -> None:
        """Begin to receive."""
        native.llama_log_set(self._callback, ctypes.c_void_p())

    def _receive(self, _level: int, text: bytes, _user_data: object) -> None:
        self._open += text.decode("utf-8", "replace")
        *whole, self._open = self._open.split("\n")
        for line in whole:
            self._take(line)
        if "converting to" in self._open:
            self._take(self._open)  # told when a tensor begins: a large one takes minutes

    def _take(self, line: str) -> None:
        self.needs_matrix = self.needs_matrix or _NEEDS_MATRIX in line
        found = _LINE.search(line)
        if found is None:
            if line.strip():
                self.lines = [*self.lines[-KEPT_LINES:], line[:300]]
            return
        number = int(found[1])
        if number == self._told:
            return
        self._told = number
        target = _TARGET.search(found[5])
        kind = next(filter(None, target.groups())) if target else found[4]
        self._tell({"tensor": found[3], "number": number, "of": int(found[2]), "type": kind})


def quantize(job: Job, tell: Callable[[dict[str, object]], None]) -> dict[str, object]:
    """Do the job; return the last line."""
    log = Log(tell)
    log.install()
    params = native.llama_model_quantize_default_params()
    params.nthread = job.threads
    params.ftype = job.file_type
    params.allow_requantize = job.allow_requantise
    params.keep_split = job.keep_split
    params.dry_run = job.dry_run
    params.max_buf_size = job.buffer_bytes
    if job.output_type != NO_TYPE:
        params.output_tensor_type = job.output_type
    if job.embedding_type != NO_TYPE:
        params.token_embedding_type = job.embedding_type
    if job.overrides:
        rows = (native.llama_model_tensor_override * (len(job.overrides) + 1))()
        for row, (pattern, kind) in zip(rows, job.overrides, strict=False):
            row.pattern, row.type = pattern.encode(), kind
        params.tt_overrides = rows
    matrix = _read_matrix(job)  # kept alive until the end
    if matrix:
        params.imatrix = matrix[0]
    failed = native.llama_model_quantize(
        os.fsencode(job.source), os.fsencode(job.target), ctypes.byref(params)
    )
    if failed:
        return {"error": log.lines}
    return {"done": True, "needs_matrix": log.needs_matrix}


def _read_matrix(job: Job) -> tuple[Any, list[Any]] | None:
    if not job.matrix:
        return None
    held: list[Any] = []
    entries = (native.llama_model_imatrix_data * (len(job.matrix) + 1))()
    with Path(job.matrix_path).open("rb") as file:
        for entry, wanted in zip(entries, job.matrix, strict=False):
            file.seek(wanted.offset)
            values = np.frombuffer(file.read(wanted.count * 4), dtype="<f4")
            if values.size != wanted.count:
                raise OSError(f"{job.matrix_path} became shorter")
            rows = values.reshape(len(wanted.divisors), -1).astype(np.float32)
            counts = np.asarray(wanted.divisors, dtype=np.float32)[:, None]
            # An expert that was never used counts like any other, as in llama.cpp's own tool.
            rows = np.ascontiguousarray(np.where(counts > 0, rows / np.maximum(counts, 1), 1.0))
            rows = rows.astype(np.float32)
            held.append(rows)
            entry.name = wanted.name.encode()
            entry.data = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            entry.size = wanted.count
    return entries, held


def main() -> int:
    """Read the job, do it, tell how it went; the exit status is 1 when it failed."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)

    def tell(line: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    os.nice(job.nice)
    native.llama_backend_init()
    last = quantize(job, tell)
    tell(last)
    return 0 if "done" in last else 1


if __name__ == "__main__":
    sys.exit(main())
