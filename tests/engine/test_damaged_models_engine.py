"""Damaged models that the reader lets pass do not abort llama.cpp: it loads or refuses them."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from doubles.models import tiny_embedder, tiny_llama, tiny_model
from freehold.errors import AppError
from freehold.gguf.header import read_header
from freehold.gguf.source import open_file
from freehold.library.inspection import inspect

pytestmark = pytest.mark.engine
pytest.importorskip("llama_cpp")

DAMAGED = 400
LOADER = """
import ctypes, sys
import llama_cpp as llama

quiet = llama.llama_log_callback(lambda level, text, data: None)
llama.llama_log_set(quiet, ctypes.c_void_p(0))
for line in sys.stdin:
    model = llama.llama_model_load_from_file(
        line.strip().encode(), llama.llama_model_default_params()
    )
    outcome = "refused"
    if model:
        parameters = llama.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch = 256, 64
        parameters.n_threads = parameters.n_threads_batch = 1
        context = llama.llama_init_from_model(model, parameters)
        if context:
            tokens = (llama.llama_token * 4)(300, 301, 302, 303)
            llama.llama_decode(context, llama.llama_batch_get_one(tokens, 4))
            llama.llama_free(context)
            outcome = "ran"
        llama.llama_model_free(model)
    print(outcome, flush=True)
"""


def damage(data: bytes, header_bytes: int, dice: random.Random) -> bytes:
    """Change one or two places of the header: a byte, or a whole number."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.choice(
            (dice.randrange(4, 1800), dice.randrange(header_bytes - 4000, header_bytes))
        )
        if dice.random() < 0.5:
            changed[at] = dice.randrange(256)
        else:
            number = dice.choice((0, 1, 2**16, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
            changed[at : at + 8] = struct.pack("<Q", number)
    return bytes(changed)


def test_what_passes_the_reader_does_not_abort_the_engine(tmp_path: Path) -> None:
    dice = random.Random(11)
    sources = []
    for path in (tiny_model(), tiny_llama(), tiny_embedder()):
        with open_file(path) as source:
            sources.append((path.read_bytes(), read_header(source).data_offset))
    passed = []
    for number in range(DAMAGED):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(damage(*dice.choice(sources), dice))
        try:
            inspect(path)
        except AppError:
            path.unlink()
            continue
        passed.append(path)
    assert 20 < len(passed) < DAMAGED / 2
    loader = subprocess.run(
        [sys.executable, "-c", LOADER],
        input="".join(f"{path}\n" for path in passed),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        check=False,
    )
    outcomes = loader.stdout.split()
    assert loader.returncode == 0, f"{passed[len(outcomes)]} ended it: {loader.stderr[-500:]}"
    assert len(outcomes) == len(passed)
    assert "ran" in outcomes
