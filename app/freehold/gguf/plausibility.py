"""Numbers in the metadata that would end llama.cpp, refused before it sees them.

llama.cpp checks some of these with assertions, which end the process without a word. Each rule
here was found by changing every number of sound files one by one and seeing what ended it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from freehold.gguf.faults import CONVERT_AGAIN, InvalidGgufError, quoted
from freehold.gguf.header import GgufHeader
from freehold.gguf.source import Source
from freehold.gguf.values import STRING, LongList, raw_texts

# LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS, LLAMA_EXPERT_GATING_FUNC_TYPE_* and
# LLAMA_ROPE_SCALING_TYPES in the sources of the pinned llama.cpp.
MOST_LAYERS: Final = 512
MOST_EXPERTS: Final = 1024
GATING_FUNCTIONS: Final = range(5)
ROPE_SCALINGS: Final = ("none", "linear", "yarn", "longrope")
LEAST_ALIGNMENT: Final = 8
EPSILONS: Final = (
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "attention.group_norm_epsilon",
)


def check_numbers(file: str, architecture: str, header: GgufHeader) -> None:
    """Raise InvalidGgufError for numbers that no working model has."""
    check = _Checker(file, architecture, header)
    if header.alignment < LEAST_ALIGNMENT:
        raise check.wrong(f"its alignment is {header.alignment}")
    layers = check.whole("block_count")
    if layers is not None and not 1 <= layers <= MOST_LAYERS:
        raise check.wrong(f"it claims {layers:,} layers")
    for key in EPSILONS:
        epsilon = header.metadata.get(f"{architecture}.{key}")
        if isinstance(epsilon, float) and not (math.isfinite(epsilon) and epsilon >= 0):
            raise check.wrong(f"its {key} is {epsilon}")
    scaling = header.text(f"{architecture}.rope.scaling.type")
    if scaling is not None and scaling not in ROPE_SCALINGS:
        raise check.wrong(f"its rope scaling is {quoted(scaling)}")
    _check_experts(check)
    if architecture == "deepseek2":
        _check_latent_attention(check)


class _Checker:
    """Reads numbers of one architecture and words what is wrong with them."""

    def __init__(self, file: str, architecture: str, header: GgufHeader) -> None:
        self._file = file
        self._architecture = architecture
        self.header = header

    def whole(self, key: str) -> int | None:
        return self.header.whole(f"{self._architecture}.{key}")

    def has(self, key: str) -> bool:
        return f"{self._architecture}.{key}" in self.header.metadata

    def wrong(self, reason: str) -> InvalidGgufError:
        return InvalidGgufError(self._file, f"its metadata is damaged: {reason}", CONVERT_AGAIN)


def _check_experts(check: _Checker) -> None:
    experts = check.whole("expert_count") or 0
    used = check.whole("expert_used_count")
    if not 0 <= experts <= MOST_EXPERTS:
        raise check.wrong(f"it claims {experts:,} experts")
    if used is not None and not 0 <= used <= experts:
        raise check.wrong(f"it uses {used:,} of {experts:,} experts")
    if experts and not used and not (used is None and check.has("expert_used_count")):
        raise check.wrong(f"it uses none of its {experts:,} experts")
    if not experts and any(t.name.endswith("_exps.weight") for t in check.header.tensors):
        raise check.wrong("it has experts and does not say how many")
    groups = check.whole("expert_group_count") or 0
    if experts and groups and (groups >= experts or experts % groups):
        raise check.wrong(f"it has {experts:,} experts in {groups:,} groups")
    gating = check.whole("expert_gating_func")
    if gating is not None and gating not in GATING_FUNCTIONS:
        raise check.wrong(f"its expert gating is {gating:,}")


def _check_latent_attention(check: _Checker) -> None:
    """Check the sizes of DeepSeek's and Kimi's attention, which depend on each other."""
    key = check.whole("attention.key_length_mla")
    if key is None:
        return
    rope = check.whole("rope.dimension_count")
    rank = check.whole("attention.kv_lora_rank")
    cached = check.whole("attention.key_length")
    if check.whole("attention.head_count_kv") != 1:
        raise check.wrong("latent attention has one key per layer, and it claims another number")
    if rope is None or rank is None or cached is None:
        raise check.wrong("a size of its latent attention is missing")
    if not 0 < rope < key or cached != rank + rope:
        raise check.wrong("the sizes of its latent attention do not fit each other")


def check_vocabulary(source: Source, header: GgufHeader) -> None:
    """Raise InvalidGgufError if two tokens are the same, which ends llama.cpp too.

    Reads the vocabulary: tens of milliseconds for the largest.
    """
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongList) and tokens.item == STRING:
        texts: list[bytes | str] = [*raw_texts(source, tokens)]
    elif isinstance(tokens, tuple):
        texts = [token for token in tokens if isinstance(token, str)]
    else:
        return
    counts = Counter(texts)
    for empty in ("", b""):  # llama.cpp gives empty tokens names of their own
        counts.pop(empty, None)
    if len(counts) < sum(counts.values()):
        text = next(text for text, count in counts.items() if count > 1)
        raise InvalidGgufError(
            source.name,
            f"its vocabulary is damaged: the token {quoted(text)} is there twice",
            CONVERT_AGAIN,
        )
