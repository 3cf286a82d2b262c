"""Which types a quantised model gets: llama.cpp's mixes, and what a person changes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from freehold.errors import AppError
from freehold.gguf.ggml_types import BY_NUMBER, GgmlType
from freehold.wire_files import QuantiseRequest

# LLAMA_FTYPE_* of the pinned llama.h; the mixes that its quantiser offers.
MIXES: Final[Mapping[str, int]] = {
    "F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q6_K": 18, "Q5_K_M": 17, "Q5_K_S": 16, "Q5_1": 9,
    "Q5_0": 8, "Q4_K_M": 15, "Q4_K_S": 14, "Q4_1": 3, "Q4_0": 2, "IQ4_NL": 25, "IQ4_XS": 30,
    "MXFP4_MOE": 38, "Q3_K_L": 13, "Q3_K_M": 12, "Q3_K_S": 11, "IQ3_M": 27, "IQ3_S": 26,
    "IQ3_XS": 22, "IQ3_XXS": 23, "Q2_K": 10, "Q2_K_S": 21, "IQ2_M": 29, "IQ2_S": 28,
    "IQ2_XS": 20, "IQ2_XXS": 19, "IQ1_M": 31, "IQ1_S": 24, "TQ2_0": 37, "TQ1_0": 36,
}  # fmt: skip
PLAIN: Final = ("F32", "F16", "BF16")
# Good enough to be quantised from; everything else loses a second time.
SOURCES: Final = frozenset({"F32", "F16", "BF16", "Q8_0"})
TARGETS: Final[Mapping[str, GgmlType]] = {
    kind.name: kind
    for kind in BY_NUMBER.values()
    if kind.name not in ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K", "NVFP4")
}
BY_NAME: Final[Mapping[str, GgmlType]] = {kind.name.casefold(): kind for kind in BY_NUMBER.values()}
LONGEST_PATTERN: Final = 200
MOST_PATTERNS: Final = 200
_PARTS: Final = (
    ("shared_experts", r"\.ffn_(gate|up|down|gate_up)_shexp\."),
    ("experts", r"\.ffn_(gate|up|down|gate_up)_(ch)?exps\."),
    ("attention", r"\.(attn|ssm|shortconv|indexer|cross_attn)_"),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A request as the quantiser takes it; types are ggml's numbers, -1 leaves one to the mix."""

    mix: str
    file_type: int
    output_type: int
    embedding_type: int
    overrides: tuple[tuple[str, int], ...]


def make_recipe(request: QuantiseRequest) -> Recipe:
    """Return the recipe of a request.

    Raises: AppError `invalid_request` that names what is not known.
    """
    mix = request.mix.strip().upper()
    mix = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}.get(mix, mix)
    if mix not in MIXES:
        raise _unknown(request.mix, "mix", ", ".join(MIXES))
    overrides = []
    if len(request.tensor_types) > MOST_PATTERNS:
        raise AppError(
            "invalid_request", "There are too many patterns of tensors.", "Use fewer, wider ones."
        )
    for pattern, kind in request.tensor_types:
        overrides.append((_checked(pattern), _type(kind)))
    for part, pattern in _PARTS:
        wished = getattr(request, part)
        if wished:
            overrides.append((pattern, _type(wished)))
    if overrides and mix in PLAIN:
        raise AppError(
            "invalid_request",
            f"{mix} quantises nothing, so parts cannot get types of their own.",
            "Choose a quantised mix, such as Q4_K_M.",
        )
    return Recipe(
        mix=mix,
        file_type=MIXES[mix],
        output_type=_type(request.output) if request.output else -1,
        embedding_type=_type(request.embeddings) if request.embeddings else -1,
        overrides=tuple(overrides),
    )


def result_name(source: str, request: QuantiseRequest, mix: str) -> str:
    """Return the name of the result's files, safe on every system.

    Raises: AppError `invalid_request` for a name that is none.
    """
    wished = request.name.strip().removesuffix(".gguf")
    if not wished:
        tail = f"-experts-{request.experts.upper()}" if request.experts else ""
        wished = f"{source}-{mix}{tail}"
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", wished).strip("-._")[:96]
    if not name:
        raise AppError("invalid_request", "That is no name for a file.", "Use letters and digits.")
    return name


def check_source(types: Mapping[str, int], ref: str, *, again: bool) -> None:
    """Raise AppError unless the weights are exact enough to be quantised from."""
    worse = {name for name in types if name not in SOURCES}
    share = sum(types[name] for name in worse) / max(1, sum(types.values()))
    if worse and share > 0.01 and not again:
        raise AppError(
            "conflict",
            f"{ref} is quantised already ({', '.join(sorted(worse))}): quantising it again would"
            " lose twice.",
            "Begin with the model in F16, BF16 or Q8_0; or say that you want it all the same.",
            detail={"types": sorted(worse)},
        )


def _checked(pattern: str) -> str:
    text = pattern.strip()
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise AppError(
            "invalid_request", f"{text[:80]} is no pattern: {error}.", "It is a regular expression."
        ) from error
    if not text or len(text) > LONGEST_PATTERN or "\0" in text:
        raise AppError(
            "invalid_request", "A pattern of tensor names is empty or too long.", "Shorten it."
        )
    return text


def _type(name: str) -> int:
    kind = TARGETS.get(name.strip().upper())
    if kind is None:
        raise _unknown(name, "type", ", ".join(TARGETS))
    return kind.number


def _unknown(name: str, what: str, known: str) -> AppError:
    return AppError(
        "invalid_request", f"{name[:40] or 'Nothing'} is no {what} that is known.", f"Use: {known}."
    )
