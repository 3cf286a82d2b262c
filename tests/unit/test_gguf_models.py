"""Shard sets, and what a model is said to be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from doubles.models import tiny_embedder, tiny_llama, tiny_model
from freehold.gguf.architectures import COMPANIONS, ENCODERS, KNOWN
from freehold.gguf.description import ModelFacts, check_architecture, describe, part_of
from freehold.gguf.faults import CompanionFileError, InvalidGgufError
from freehold.gguf.ggml_types import F32, Q4_K
from freehold.gguf.quantisations import find_in_name
from freehold.gguf.shards import group_names, parse_name, read_model
from freehold.gguf.values import LongText
from freehold.gguf.writer import MetadataValue, TensorData, encode_header, write_gguf


def write(path: Path, metadata: dict[str, MetadataValue], names: list[str]) -> Path:
    tensors = [TensorData(name, F32, (32,), lambda: iter([bytes(128)])) for name in names]
    write_gguf(path, metadata, tensors)
    return path


def shard_set(folder: Path, count: int = 3, stem: str = "M-Q4_K_M") -> list[Path]:
    paths = []
    for index in range(count):
        metadata: dict[str, MetadataValue] = {"split.no": index, "split.count": count}
        if index == 0:
            metadata |= {"general.architecture": "llama", "split.tensors.count": count * 2}
        path = folder / f"{stem}-{index + 1:05d}-of-{count:05d}.gguf"
        paths.append(write(path, metadata, [f"blk.{index}.a.weight", f"blk.{index}.b.weight"]))
    return paths


@pytest.fixture
def facts() -> Callable[[Path], ModelFacts]:
    return lambda path: describe(read_model(path))


# --- shards ----------------------------------------------------------------------------------


def test_any_shard_leads_to_the_whole_set(tmp_path: Path) -> None:
    paths = shard_set(tmp_path)
    for path in paths:
        model = read_model(path)
        assert list(model.paths) == paths
        assert len(model.all_tensors()) == 6
        assert model.bytes == sum(part.stat().st_size for part in paths)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    paths = shard_set(tmp_path)
    paths[1].unlink()
    with pytest.raises(InvalidGgufError, match="1 of its 3 files is missing: M-Q4_K_M-00002-of"):
        read_model(paths[0])
    paths[0].unlink()
    with pytest.raises(InvalidGgufError, match="2 of its 3 files are missing"):
        read_model(paths[2])


def test_a_shard_of_another_place_is_noticed(tmp_path: Path) -> None:
    paths = shard_set(tmp_path)
    paths[1].write_bytes(paths[2].read_bytes())
    with pytest.raises(InvalidGgufError, match="mixed: it says it is part 3 of 3, not 2 of 3"):
        read_model(paths[0])


def test_a_shard_of_another_model_is_noticed(tmp_path: Path) -> None:
    paths = shard_set(tmp_path)
    write(paths[2], {"split.no": 2, "split.count": 3}, ["blk.0.a.weight", "x"])
    with pytest.raises(InvalidGgufError, match=r"“blk\.0\.a\.weight” is in another file too"):
        read_model(paths[0])
    write(paths[2], {"split.no": 2, "split.count": 3}, ["x"])
    with pytest.raises(InvalidGgufError, match="the set has 5 tensors, not 6"):
        read_model(paths[0])
    write(paths[2], {"split.no": 2, "split.count": 3, "general.architecture": "bert"}, ["x", "y"])
    with pytest.raises(InvalidGgufError, match="another architecture"):
        read_model(paths[0])


def test_a_renamed_shard_is_noticed(tmp_path: Path) -> None:
    path = shard_set(tmp_path)[0].rename(tmp_path / "model.gguf")
    with pytest.raises(InvalidGgufError, match="part of a set of 3 files, but its name says 1"):
        read_model(path)


def test_a_truncated_shard_is_noticed(tmp_path: Path) -> None:
    paths = shard_set(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    with pytest.raises(InvalidGgufError, match=r"00003-of-00003\.gguf cannot .* it is incomplete"):
        read_model(paths[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("K2-00001-of-00013.gguf", ("K2", 1, 13)),
        ("K2-Q4-00013-of-00013.gguf", ("K2-Q4", 13, 13)),
        ("K2-00000-of-00013.gguf", None),
        ("K2-00014-of-00013.gguf", None),
        ("K2-00001-of-99999.gguf", None),
        ("K2-0001-of-0013.gguf", None),
        ("K2-00001-of-00013.GGUF.part", None),
        ("K2-٠٠٠٠١-of-00013.gguf", None),
        ("-00001-of-00002.gguf", None),
    ],
)
def test_shard_names(name: str, expected: tuple[str, int, int] | None) -> None:
    shard = parse_name(name)
    assert (shard and (shard.stem, shard.number, shard.count)) == expected
    if shard:
        assert shard.sibling(shard.number) == name


def test_names_are_grouped() -> None:
    names = [
        "Q4/K2-Q4-00002-of-00002.gguf",
        "Q4/K2-Q4-00001-of-00002.gguf",
        "Q8/K2-Q4-00001-of-00002.gguf",
        "small.gguf",
    ]
    assert group_names(dict.fromkeys(names, 1)) == (
        ("Q4/K2-Q4-00001-of-00002.gguf", "Q4/K2-Q4-00002-of-00002.gguf"),
        ("Q8/K2-Q4-00001-of-00002.gguf",),
        ("small.gguf",),
    )


# --- description -----------------------------------------------------------------------------


def test_kimi(facts: Callable[[Path], ModelFacts]) -> None:
    kimi = facts(tiny_model())
    assert kimi.architecture == "deepseek2"
    assert (kimi.experts, kimi.experts_used, kimi.layers) == (384, 8, 3)
    assert kimi.kind == "chat"
    assert kimi.quant == "Q4_0"
    assert kimi.tokenizer.pre == "kimi-k2"
    assert kimi.tokenizer.tokens > 1000
    assert isinstance(kimi.chat_template, str)
    assert "<|im_middle|>" in kimi.chat_template
    assert sum(kimi.bytes_by_part.values()) == kimi.tensor_bytes
    assert sum(kimi.bytes_by_type.values()) == kimi.tensor_bytes
    assert sum(sum(row.values()) for row in kimi.layer_bytes.values()) == kimi.tensor_bytes
    assert set(kimi.layer_bytes) == {None, 0, 1, 2}
    assert "experts" not in kimi.layer_bytes[0]
    experts = 2 * 384 * 3 * 64 * 32
    assert kimi.bytes_by_part["experts"] == experts * 18 // 32
    unchosen = experts * 376 // 384
    embedding = 64 * kimi.tokenizer.tokens
    assert kimi.active_parameters == kimi.parameters - unchosen - embedding
    assert kimi.bits_per_weight == pytest.approx(kimi.tensor_bytes * 8 / kimi.parameters)


def test_llama_and_bert(facts: Callable[[Path], ModelFacts]) -> None:
    assert facts(tiny_llama()).tokenizer.has_infill
    assert facts(tiny_llama()).experts == 0
    assert facts(tiny_embedder()).kind == "embedding"
    assert facts(tiny_embedder()).chat_template is None


@pytest.mark.parametrize(
    ("metadata", "names", "reason"),
    [
        ({"general.type": "mmproj", "general.architecture": "clip"}, ["v"], "projector"),
        ({"general.architecture": "clip"}, ["v"], "projector"),
        ({"general.type": "adapter", "general.architecture": "llama"}, ["a"], "LoRA adapter"),
        ({"general.architecture": "eagle3"}, ["a"], "companion"),
        ({"general.architecture": "llama"}, [], "vocabulary"),
    ],
)
def test_companions(
    tmp_path: Path, metadata: dict[str, MetadataValue], names: list[str], reason: str
) -> None:
    with pytest.raises(CompanionFileError, match=reason):
        describe(read_model(write(tmp_path / "m.gguf", metadata, names)))


@pytest.mark.parametrize("architecture", [None, "", 7])
def test_no_architecture(tmp_path: Path, architecture: str | int | None) -> None:
    metadata: dict[str, MetadataValue] = (
        {} if architecture is None else {"general.architecture": architecture}
    )
    with pytest.raises(InvalidGgufError, match="does not name its architecture"):
        describe(read_model(write(tmp_path / "m.gguf", metadata, ["a"])))


def test_absurd_facts_are_read_without_harm(
    tmp_path: Path, facts: Callable[[Path], ModelFacts]
) -> None:
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "llama",
        "llama.context_length": -5,
        "llama.expert_count": 4,
        "llama.expert_used_count": 4,
        "llama.block_count": "many",
        "general.file_type": 999,
    }
    found = facts(write(tmp_path / "m.gguf", metadata, ["blk.0.ffn_up_exps.weight"]))
    assert (found.context_tokens, found.experts_used, found.layers) == (0, 4, 0)
    assert found.quant == "F32"


def test_a_very_long_template_stays_in_the_file(
    tmp_path: Path, facts: Callable[[Path], ModelFacts]
) -> None:
    metadata: dict[str, MetadataValue] = {
        "general.architecture": "llama",
        "tokenizer.chat_template": "x" * (2 << 20),
    }
    found = facts(write(tmp_path / "m.gguf", metadata, ["a"]))
    assert isinstance(found.chat_template, LongText)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ("blk.12.ffn_gate_exps.weight", (12, "experts")),
        ("blk.12.ffn_gate_up_exps.weight", (12, "experts")),
        ("blk.12.ffn_down_shexp.weight", (12, "shared_experts")),
        ("blk.12.ffn_gate_inp.weight", (12, "feed_forward")),
        ("blk.0.ffn_down.weight", (0, "feed_forward")),
        ("blk.0.ffn_norm.weight", (0, "other")),
        ("blk.0.attn_kv_a_mqa.weight", (0, "attention")),
        ("blk.0.exp_probs_b.bias", (0, "other")),
        ("token_embd.weight", (None, "embeddings")),
        ("output.weight", (None, "embeddings")),
        ("output_norm.weight", (None, "other")),
        ("blk.99999999999999.attn_q.weight", (None, "other")),
    ],
)
def test_parts(tensor: str, expected: tuple[int | None, str]) -> None:
    assert part_of(tensor) == expected


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Kimi-K2-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("Kimi-K2-Instruct-UD-TQ1_0-00001-of-00006.gguf", "UD-TQ1_0"),
        ("Kimi-K2-Thinking-UD-Q2_K_XL-00001-of-00009.gguf", "UD-Q2_K_XL"),
        ("model-f16-q4_k_m.gguf", "Q4_K_M"),
        ("gpt-oss-120b-MXFP4_MOE.gguf", "MXFP4"),
        ("Qwen3-30B-A3B-IQ4_XS.gguf", "IQ4_XS"),
        ("mistral.Q8_0.gguf", "Q8_0"),
        ("model-fp16.gguf", "F16"),
        ("Qwen3-8B.gguf", None),
        ("BF16/x.gguf", "BF16"),
    ],
)
def test_quantisations_in_names(name: str, quant: str | None) -> None:
    assert find_in_name(name) == quant


def test_architectures() -> None:
    assert {"deepseek2", "kimi-k3", "llama", "gpt-oss", "qwen3moe", "bert"} <= KNOWN
    assert not KNOWN & COMPANIONS
    assert ENCODERS <= KNOWN
    assert check_architecture("deepseek2") is None
    problem = check_architecture("brain\nwave")
    assert problem is not None
    assert problem.code == "unsupported_architecture"
    assert "\n" not in problem.message


def test_a_kimi_of_half_a_terabyte_is_read_in_a_moment(tmp_path: Path) -> None:
    """33 sparse shards with K2's expert tensors and vocabulary."""
    shards, layers, words = 33, 61, 163_840
    tensors: list[list[TensorData]] = [[] for _ in range(shards)]
    for layer in range(layers):
        for name, shape in (
            ("ffn_gate_exps", (7168, 2048, 384)),
            ("ffn_up_exps", (7168, 2048, 384)),
            ("ffn_down_exps", (2048, 7168, 384)),
            ("attn_output", (8192, 7168)),
        ):
            tensor = TensorData(f"blk.{layer}.{name}.weight", Q4_K, shape, lambda: iter(()))
            tensors[layer * shards // layers].append(tensor)
    first: dict[str, MetadataValue] = {
        "general.architecture": "deepseek2",
        "deepseek2.expert_count": 384,
        "deepseek2.expert_used_count": 8,
        "split.tensors.count": layers * 4,
        "tokenizer.ggml.tokens": [f"token {n}" for n in range(words)],
        "tokenizer.ggml.merges": [f"to {n}" for n in range(words)],
    }
    for number, group in enumerate(tensors):
        metadata: dict[str, MetadataValue] = {"split.no": number, "split.count": shards}
        path = tmp_path / f"K2-Q4_K_M-{number + 1:05d}-of-{shards:05d}.gguf"
        write_sparse(path, metadata | (first if number == 0 else {}), group)
    started = time.process_time()
    facts = describe(read_model(tmp_path / "K2-Q4_K_M-00033-of-00033.gguf"))
    assert time.process_time() - started < 1.0
    assert facts.file_bytes > 500e9
    assert 1.0e12 < facts.parameters < 1.1e12
    assert facts.active_parameters < 30e9
    assert facts.bits_per_weight == pytest.approx(4.5)
    assert facts.tokenizer.tokens == words


def write_sparse(path: Path, metadata: dict[str, MetadataValue], tensors: list[TensorData]) -> None:
    """Write a header, and of the tensors only their room."""
    head = encode_header(metadata, tensors)
    room = sum(-(-tensor.bytes // 32) * 32 for tensor in tensors)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(-(-len(head) // 32) * 32 + room)
