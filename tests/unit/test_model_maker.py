"""The maker of random-weight models: one recipe, one file, and it says what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, dequantize

from freehold.cli import main
from freehold.gguf.description import describe
from freehold.gguf.ggml_types import F16, F32, Q4_0, Q4_K, Q6_K, Q8_0, GgmlType
from freehold.gguf.shards import read_model
from freehold.library.model_maker import kimi
from freehold.library.model_maker.blocks import random_chunks
from freehold.library.model_maker.recipe import KINDS, Kind, Recipe, write_model
from freehold.library.model_maker.vocabulary import WORDS, byte_letters


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path, kind: Kind) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        size = write_model(tmp_path / name, Recipe(kind=kind, seed=seed))
        assert size == (tmp_path / name).stat().st_size
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


def test_it_says_that_it_is_for_tests_only(tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", Recipe())
    header = read_model(tmp_path / "m.gguf").header
    assert "Random" in str(header.text("general.name"))
    assert "for tests and benchmarks only" in str(header.text("general.description"))


@pytest.mark.parametrize("size", ["tiny", "small", "1b"])
def test_every_size_has_kimis_shape(size: str) -> None:
    shape = kimi.SHAPES[size]
    keys = kimi.metadata(shape, "deepseek2", 4096)
    assert keys["deepseek2.expert_count"] == 384
    assert keys["deepseek2.expert_used_count"] == 8
    assert keys["deepseek2.expert_shared_count"] == 1
    assert keys["deepseek2.leading_dense_block_count"] == 1
    assert keys["deepseek2.attention.head_count_kv"] == 1
    assert keys["deepseek2.attention.key_length"] == shape.kv_rank + shape.rope
    # A quantised KV cache needs whole blocks.
    assert (shape.kv_rank + shape.rope) % 32 == 0


def test_about_a_billion() -> None:
    make = kimi.TensorMaker(1)
    count = kimi.parameters(kimi.ONE_BILLION, kimi.vocabulary(), make)
    assert 0.9e9 < count < 1.1e9


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [(F32, 0.02), (F16, 0.02), (Q8_0, 0.02), (Q4_0, 0.05), (Q4_K, 0.1), (Q6_K, 0.1)],
)
def test_weights_have_the_wished_spread(kind: GgmlType, tolerance: float) -> None:
    shape = (512, 64, 2)
    data = b"".join(random_chunks("t", kind, shape, 0.05, seed=3))
    assert len(data) == kind.row_bytes(512) * 128
    raw = np.frombuffer(data, np.uint8).reshape(128, -1)
    if kind is F32:
        values = raw.view(np.float32)
    elif kind is F16:
        values = raw.view(np.float16).astype(np.float32)
    else:
        values = dequantize(raw, GGMLQuantizationType(kind.number))
    assert values.shape == (128, 512)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(0.05, rel=tolerance)
    assert abs(values.mean()) < 0.002


def test_row_gain() -> None:
    gain = np.array([1.0, 0.1] * 32, np.float32)
    data = b"".join(random_chunks("t", Q8_0, (512, 64), 0.05, seed=3, row_gain=gain))
    values = dequantize(np.frombuffer(data, np.uint8).reshape(64, -1), GGMLQuantizationType.Q8_0)
    assert values[1::2].std() == pytest.approx(0.1 * values[::2].std(), rel=0.05)


def test_the_vocabulary_holds_every_byte_and_word_once() -> None:
    words = kimi.vocabulary()
    assert len(set(words.tokens)) == len(words.tokens)
    assert list(words.tokens[:256]) == byte_letters()
    letters = byte_letters()
    for word in WORDS:
        assert "".join(letters[byte] for byte in f" {word}".encode()) in words.spoken
    for merge in words.merges:
        left, _, right = merge.partition(" ")
        assert {left, right, left + right} <= set(words.tokens)
    for special in ("[BOS]", "<|im_end|>", "<|tool_calls_section_begin|>", "<|im_middle|>"):
        assert words.id(special) >= len(words.tokens) - len(words.specials)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}")
    out = tmp_path / "m.gguf"
    words = ["dev", "make-model", str(out), "--arch", "brainwave", "--context", "512"]
    assert main([*words, "--template", str(template), "--name", "Mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(out), "bytes": out.stat().st_size}
    facts = describe(read_model(out))
    assert facts.name == "Mine"
    assert facts.architecture == "brainwave"
    assert facts.context_tokens == 512
    assert facts.chat_template == "{{ messages }}"


def test_the_command_fails_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dev", "make-model", str(tmp_path / "none" / "m.gguf")]) == 1
    assert "could not be written" in capsys.readouterr().err
    assert main(["dev", "make-model", "m.gguf", "--template", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["dev", "make-model", "m.gguf", "--context", "0"])
    assert caught.value.code == 2
