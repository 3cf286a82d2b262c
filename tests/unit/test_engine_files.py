"""What is decided before llama.cpp opens a file, and what its last words are taken to mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freehold.engine.load_errors import explain_failure
from freehold.engine.model_file import check_file, model_bytes
from freehold.errors import AppError


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (
            "llama_model_load: error loading model: unknown model architecture: 'kimi9'",
            "unsupported_architecture",
            "kimi9",
        ),
        ("llm_load: unknown pre-tokenizer type: 'odd'", "unsupported_architecture", "odd"),
        (
            "ggml_cuda: cudaMalloc failed: out of memory",
            "does_not_fit",
            "GPU",
        ),
        ("error loading model: unable to allocate CPU buffer", "does_not_fit", "memory"),
        (
            "error loading model: tensor 'x' data is not within the file bounds, "
            "model is corrupted or incomplete",
            "invalid_model",
            "damaged",
        ),
        ("error loading model: missing tensor 'output_norm.weight'", "invalid_model", "tensors"),
        ("gguf_init_from_file_impl: invalid magic characters: 'PK'", "invalid_model", "GGUF"),
        (
            "llama_init_from_model: quantized V cache requires flash_attn to be enabled",
            "invalid_request",
            "flash_attn",
        ),
        ("something nobody has seen before", "invalid_model", "could not load"),
    ],
)
def test_last_words_become_a_cause(line: str, code: str, words: str) -> None:
    error = explain_failure(["llama_model_loader: loaded meta data", line])
    assert error.code == code
    assert words in error.message
    assert error.hint
    assert line in error.detail["log"]  # type: ignore[operator]


def test_a_file_is_looked_at_without_blocking(tmp_path: Path) -> None:
    good = tmp_path / "good.gguf"
    good.write_bytes(b"GGUF\x03\x00\x00\x00")
    check_file(good)
    fifo = tmp_path / "fifo.gguf"
    os.mkfifo(fifo)
    link = tmp_path / "link.gguf"
    link.symlink_to("/dev/zero")
    for path in (fifo, link, tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(AppError) as refused:
            check_file(path)
        assert refused.value.code == "invalid_model"
        assert path.name in refused.value.message


def test_shards_are_counted_together(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"big-{number:05d}-of-00003.gguf").write_bytes(b"x" * number)
    (tmp_path / "other-00001-of-00003.gguf").write_bytes(b"x" * 50)
    assert model_bytes(tmp_path / "big-00001-of-00003.gguf") == 6
    single = tmp_path / "single.gguf"
    single.write_bytes(b"x" * 9)
    assert model_bytes(single) == 9
