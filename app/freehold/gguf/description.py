"""What kind of model a file holds: architecture, size, experts, where its bytes are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from freehold.errors import AppError
from freehold.gguf.architectures import COMPANIONS, ENCODERS, KNOWN
from freehold.gguf.faults import CONVERT_AGAIN, CompanionFileError, InvalidGgufError, quoted
from freehold.gguf.header import GgufHeader, TensorInfo
from freehold.gguf.plausibility import check_numbers
from freehold.gguf.quantisations import BY_FILE_TYPE, find_in_name
from freehold.gguf.shards import ModelFile
from freehold.gguf.values import LongList, LongText, Value

Part = Literal["experts", "shared_experts", "attention", "feed_forward", "embeddings", "other"]

NO_POOLING: Final = 0
_LAYER: Final = re.compile(r"(?:blk|enc\.blk|dec\.blk)\.(\d{1,6})\.(.+)")
_ATTENTION: Final = re.compile(
    r"(attn|cross_attn|ssm|time_mix|channel_mix|shortconv|indexer|inp_gate|kda)"
)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The facts about a model's vocabulary that do not need the vocabulary."""

    model: str
    pre: str
    tokens: int
    merges: int
    bos_id: int | None
    eos_id: int | None
    has_infill: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model is, from its files alone.

    active_parameters: weights that work for one token: all but the experts not chosen, and but
        the rows of the embedding table that are not looked up.
    bytes_by_part: where the bytes are; `layer_bytes`: the same by layer, None for outside.
    chat_template: None where the file has none; a `LongText` is left in the file.
    """

    name: str
    architecture: str
    kind: Literal["chat", "embedding"]
    quant: str
    bits_per_weight: float
    parameters: int
    active_parameters: int
    experts: int
    experts_used: int
    layers: int
    context_tokens: int
    embedding_size: int
    file_bytes: int
    tensor_bytes: int
    bytes_by_part: Mapping[Part, int]
    layer_bytes: Mapping[int | None, Mapping[Part, int]]
    bytes_by_type: Mapping[str, int]
    chat_template: str | LongText | None
    tokenizer: Tokenizer
    license: str
    source: str


def describe(model: ModelFile) -> ModelFacts:
    """Return what the model is.

    Raises: AppError `invalid_model` for a file that is no language model (a projector, an
        adapter, a vocabulary alone) or lacks what every model says.
    """
    file, header = model.paths[0].name, model.header
    architecture = _check_is_model(file, header, model)
    check_numbers(file, architecture, header)
    tensors = model.all_tensors()
    context = header.whole(f"{architecture}.context_length") or 0
    experts = header.whole(f"{architecture}.expert_count") or 0
    used = min(header.whole(f"{architecture}.expert_used_count") or 0, experts)
    parts, layers = _weigh(tensors)
    tensor_bytes = sum(tensor.bytes for tensor in tensors)
    parameters = sum(tensor.parameters for tensor in tensors)
    return ModelFacts(
        name=(header.text("general.name") or "").strip(),
        architecture=architecture,
        kind="embedding" if _is_embedder(architecture, header) else "chat",
        quant=quant_name(file, header, tensors),
        bits_per_weight=tensor_bytes * 8 / parameters,
        parameters=parameters,
        active_parameters=_active(tensors, experts, used),
        experts=experts,
        experts_used=used,
        layers=max(0, header.whole(f"{architecture}.block_count") or 0),
        context_tokens=max(0, context),
        embedding_size=max(0, header.whole(f"{architecture}.embedding_length") or 0),
        file_bytes=model.bytes,
        tensor_bytes=tensor_bytes,
        bytes_by_part=parts,
        layer_bytes=layers,
        bytes_by_type=_by_type(tensors),
        chat_template=_template(header),
        tokenizer=_tokenizer(header),
        license=header.text("general.license") or "",
        source=header.text("general.source.huggingface.repository")
        or header.text("general.source.url")
        or "",
    )


def check_architecture(architecture: str) -> AppError | None:
    """Return why the pinned llama.cpp will not load this architecture, or None."""
    if architecture in KNOWN:
        return None
    return AppError(
        "unsupported_architecture",
        f"The model's architecture {quoted(architecture)} is not one this llama.cpp can run.",
        "Update Freehold, or choose another model.",
        detail={"architecture": architecture},
    )


def _check_is_model(file: str, header: GgufHeader, model: ModelFile) -> str:
    architecture = header.text("general.architecture")
    kind = header.text("general.type") or "model"
    if not architecture:
        raise InvalidGgufError(file, "it does not name its architecture", CONVERT_AGAIN)
    if kind == "mmproj" or architecture == "clip":
        what = "the part of a model that sees images (a projector), not a language model"
        raise CompanionFileError(file, what, "Choose the model's main file.")
    if kind == "adapter":
        what = "a LoRA adapter, not a whole model"
        raise CompanionFileError(file, what, "Choose the model that it was made for.")
    if kind == "imatrix" or architecture in COMPANIONS:
        what = f"a companion file ({architecture}), not a model that can run by itself"
        raise CompanionFileError(file, what, "Choose the model's main file.")
    if not any(model.tensors):
        what = "a vocabulary without weights"
        raise CompanionFileError(file, what, "Choose the model's main file.")
    return architecture


def part_of(tensor_name: str) -> tuple[int | None, Part]:
    """Return the layer (None outside of layers) and the kind of part a tensor belongs to."""
    match = _LAYER.fullmatch(tensor_name)
    if match is None:
        embeds = re.match(r"(token_embd|output\.|position_embd|token_types|per_layer)", tensor_name)
        return None, "embeddings" if embeds else "other"
    layer, rest = int(match[1]), match[2]
    if rest.startswith("ffn_"):
        stem = rest.partition(".")[0]
        if stem.endswith(("_exps", "_chexps")):
            return layer, "experts"
        if stem.endswith("_shexp"):
            return layer, "shared_experts"
        return layer, "other" if stem.endswith("_norm") else "feed_forward"
    return layer, "attention" if _ATTENTION.match(rest) else "other"


def quant_name(file: str, header: GgufHeader, tensors: Iterable[TensorInfo]) -> str:
    """Return the quantisation's name: from the file's name, its metadata, or its largest type."""
    named = find_in_name(file)
    if named:
        return named
    file_type = header.whole("general.file_type")
    if file_type in BY_FILE_TYPE:
        return BY_FILE_TYPE[file_type]
    return max(_by_type(tensors).items(), key=lambda item: item[1], default=("", 0))[0]


def _by_type(tensors: Iterable[TensorInfo]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.kind.name] += tensor.bytes
    return dict(counts)


def _weigh(
    tensors: Iterable[TensorInfo],
) -> tuple[dict[Part, int], dict[int | None, dict[Part, int]]]:
    parts: dict[Part, int] = {}
    layers: dict[int | None, dict[Part, int]] = {}
    for tensor in tensors:
        layer, part = part_of(tensor.name)
        parts[part] = parts.get(part, 0) + tensor.bytes
        row = layers.setdefault(layer, {})
        row[part] = row.get(part, 0) + tensor.bytes
    return parts, layers


def _active(tensors: Iterable[TensorInfo], experts: int, used: int) -> int:
    total, tied = 0, True
    embedding = 0
    for tensor in tensors:
        if part_of(tensor.name)[1] == "experts" and experts:
            total += tensor.parameters * used // experts
        elif tensor.name in ("token_embd.weight", "per_layer_token_embd.weight"):
            embedding += tensor.parameters if tensor.name == "token_embd.weight" else 0
        else:
            total += tensor.parameters
        tied = tied and tensor.name != "output.weight"
    return total + (embedding if tied else 0)


def _is_embedder(architecture: str, header: GgufHeader) -> bool:
    pooling = header.whole(f"{architecture}.pooling_type")
    return architecture in ENCODERS or (pooling is not None and pooling > NO_POOLING)


def _template(header: GgufHeader) -> str | LongText | None:
    value = header.metadata.get("tokenizer.chat_template")
    return value if isinstance(value, str | LongText) else None


def _tokenizer(header: GgufHeader) -> Tokenizer:
    def length(value: Value | None) -> int:
        if isinstance(value, LongList):
            return value.count
        return len(value) if isinstance(value, tuple) else 0

    metadata = header.metadata
    return Tokenizer(
        model=header.text("tokenizer.ggml.model") or "",
        pre=header.text("tokenizer.ggml.pre") or "",
        tokens=length(metadata.get("tokenizer.ggml.tokens")),
        merges=length(metadata.get("tokenizer.ggml.merges")),
        bos_id=header.whole("tokenizer.ggml.bos_token_id"),
        eos_id=header.whole("tokenizer.ggml.eos_token_id"),
        has_infill=any(
            f"tokenizer.ggml.{key}_token_id" in metadata for key in ("fim_pre", "prefix")
        ),
    )
