"""Numbers that end llama.cpp with an assertion are refused before it sees them.

Each of these values, written into an otherwise sound model, ended the process that loaded it
(llama-cpp-python 0.3.36, SIGABRT), found by changing every number of three models one by one.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from freehold.gguf.description import describe
from freehold.gguf.faults import InvalidGgufError
from freehold.gguf.ggml_types import F32
from freehold.gguf.header import read_header
from freehold.gguf.plausibility import check_vocabulary
from freehold.gguf.shards import read_model
from freehold.gguf.source import open_file
from freehold.gguf.writer import MetadataValue, TensorData, encode_value, string, write_gguf
from freehold.library.model_maker import bert, kimi, llama

SOUND: dict[str, dict[str, MetadataValue]] = {
    "deepseek2": kimi.metadata(kimi.TINY, "deepseek2", 4096),
    "llama": llama.metadata(llama.SHAPES["tiny"], "llama", 4096),
    "bert": bert.metadata(bert.SHAPES["tiny"], "bert", 512),
}
MANY = (65_536, 2**31 - 1, 2**32 - 1)

ENDED_IT: list[tuple[str, str, MetadataValue | None]] = [
    *((arch, "block_count", value) for arch in SOUND for value in (0, *MANY)),
    *(("deepseek2", "attention.head_count_kv", value) for value in (3, None)),
    *(
        (arch, f"attention.{key}", value)
        for arch, key in (
            ("deepseek2", "layer_norm_rms_epsilon"),
            ("llama", "layer_norm_rms_epsilon"),
            ("bert", "layer_norm_epsilon"),
        )
        for value in (math.nan, -1.0)
    ),
    *(("deepseek2", "attention.key_length", value) for value in (1, 3, 65_536, None)),
    *(("deepseek2", "attention.key_length_mla", value) for value in (1, 3)),
    *(("deepseek2", "expert_count", value) for value in (0, 1, 3, *MANY, None)),
    *(("deepseek2", "expert_used_count", value) for value in (0, *MANY, None)),
    *(("deepseek2", "expert_gating_func", value) for value in MANY),
    *(("deepseek2", "rope.dimension_count", value) for value in (*MANY, None)),
    ("deepseek2", "rope.scaling.type", ""),
    ("llama", "general.alignment", 1),
]


def write(path: Path, architecture: str, changes: dict[str, MetadataValue | None]) -> Path:
    metadata: dict[str, MetadataValue] = {"general.architecture": architecture}
    metadata |= SOUND[architecture]
    for key, value in changes.items():
        name = key if key.startswith("general.") else f"{architecture}.{key}"
        metadata.pop(name, None)
        if value is not None:
            metadata[name] = value
    names = ["token_embd.weight"]
    if architecture == "deepseek2":
        names.append("blk.1.ffn_up_exps.weight")
    tensors = [TensorData(name, F32, (32,), lambda: iter([bytes(128)])) for name in names]
    write_gguf(path, metadata, tensors)
    return path


@pytest.mark.parametrize("architecture", SOUND)
def test_sound_numbers_pass(tmp_path: Path, architecture: str) -> None:
    assert describe(read_model(write(tmp_path / "m.gguf", architecture, {}))).layers > 0


@pytest.mark.parametrize(("architecture", "key", "value"), ENDED_IT)
def test_refused(tmp_path: Path, architecture: str, key: str, value: MetadataValue | None) -> None:
    path = write(tmp_path / "m.gguf", architecture, {key: value})
    with pytest.raises(InvalidGgufError, match="its metadata is damaged"):
        describe(read_model(path))


def test_old_files_without_latent_attention_pass(tmp_path: Path) -> None:
    changes: dict[str, MetadataValue | None] = {
        "attention.key_length_mla": None,
        "attention.value_length_mla": None,
        "attention.head_count_kv": 4,
        "attention.key_length": 64,
    }
    assert describe(read_model(write(tmp_path / "m.gguf", "deepseek2", changes)))


def test_numbers_by_layer_pass(tmp_path: Path) -> None:
    changes: dict[str, MetadataValue | None] = {
        "attention.head_count_kv": [1, 1, 2],
        "feed_forward_length": [64, 64, 64],
    }
    assert describe(read_model(write(tmp_path / "m.gguf", "llama", changes)))
    by_layer: dict[str, MetadataValue | None] = {"expert_used_count": [8, 8, 8]}
    assert describe(read_model(write(tmp_path / "k.gguf", "deepseek2", by_layer)))


def test_groups(tmp_path: Path) -> None:
    for groups in (384, 5):
        path = write(tmp_path / "m.gguf", "deepseek2", {"expert_group_count": groups})
        with pytest.raises(InvalidGgufError, match="groups"):
            describe(read_model(path))
    assert describe(read_model(write(tmp_path / "m.gguf", "deepseek2", {"expert_group_count": 8})))


def vocabulary(tmp_path: Path, tokens: list[str]) -> None:
    path = tmp_path / "v.gguf"
    write_gguf(path, {"tokenizer.ggml.tokens": tokens}, [])
    with open_file(path) as source:
        check_vocabulary(source, read_header(source))


@pytest.mark.parametrize("count", [10, 5000])
def test_a_token_that_is_there_twice(tmp_path: Path, count: int) -> None:
    tokens = [f"t{n}" for n in range(count)]
    vocabulary(tmp_path, tokens)
    vocabulary(tmp_path, [*tokens, "", ""])
    with pytest.raises(InvalidGgufError, match="“t7” is there twice"):
        vocabulary(tmp_path, [*tokens, "t7"])


def test_a_vocabulary_of_absurd_size_is_not_read() -> None:
    tokens = [f"t{n}" for n in range(2000)]
    whole = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    whole += string("tokenizer.ggml.tokens") + encode_value(tokens)
    # The last token claims 1 GB, which the (sparse) file has.
    data = whole[:-13] + struct.pack("<Q", 1 << 30)

    class Sparse:
        name = "sparse.gguf"
        size_bytes = len(data) + (1 << 30)

        def read(self, offset: int, count: int) -> bytes:
            assert count <= 8 << 20
            return data[offset : offset + count].ljust(count, b"\0")

    source = Sparse()
    header = read_header(source)
    with pytest.raises(InvalidGgufError, match="more than any model"):
        check_vocabulary(source, header)
