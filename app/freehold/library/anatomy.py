"""Take a model apart for the person: every tensor, every metadata value, where the bytes are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from freehold.errors import AppError
from freehold.gguf.description import ModelFacts, describe, part_of
from freehold.gguf.header import GgufHeader, TensorInfo
from freehold.gguf.shards import ModelFile, read_model
from freehold.gguf.source import Source, open_file
from freehold.gguf.values import (
    LONGEST_LIST_BYTES,
    STRING,
    TYPE_NAMES,
    LongList,
    LongText,
    Value,
    read_long_list,
    read_long_text,
)
from freehold.library import naming
from freehold.wire_files import (
    LayerBytes,
    MetadataRow,
    ModelAnatomy,
    ModelFileRow,
    Piece,
    SpecialToken,
    TensorRow,
    TokenizerFacts,
)

SHOWN_ITEMS: Final = 8
SHOWN_TEXT: Final = 2_000
LONGEST_TEMPLATE: Final = 256 << 10
TEMPLATE: Final = "tokenizer.chat_template"
_TOKEN_ID: Final = re.compile(r"tokenizer\.ggml\.([a-z_]{2,40}?)_token_id")
_REPOSITORY: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
_ROLES: Final = {
    "bos": "begins a text",
    "eos": "ends an answer",
    "eot": "ends a turn",
    "eom": "ends a message",
    "unknown": "stands for what is unknown",
    "seperator": "separates",
    "separator": "separates",
    "padding": "fills up",
    "cls": "classifies",
    "mask": "masks",
    "fim_pre": "fill in: before",
    "fim_suf": "fill in: after",
    "fim_mid": "fill in: middle",
}


def read_anatomy(path: Path, ref: str) -> ModelAnatomy:
    """Return everything a model's headers say. Blocks.

    Raises: AppError with the reason why the files cannot be read as a model.
    """
    model = read_model(path)
    facts = describe(model)
    tensors = tensor_rows(model)
    with open_file(model.paths[0]) as source:
        metadata = tuple(
            _metadata_row(source, key, value) for key, value in model.header.metadata.items()
        )
        tokenizer = _tokenizer(source, model.header, facts)
        template = _template(source, model.header.metadata.get(TEMPLATE))
    return ModelAnatomy(
        ref=ref,
        name=naming.title(model.paths[0].name, facts.name),
        arch=facts.architecture,
        kind=facts.kind,
        quant=facts.quant,
        parameters=facts.parameters,
        active_parameters=facts.active_parameters,
        bits_per_weight=round(facts.bits_per_weight, 3),
        experts=facts.experts,
        experts_used=facts.experts_used,
        layers=facts.layers,
        context_tokens=facts.context_tokens,
        embedding_size=facts.embedding_size,
        tensors=len(tensors),
        tensor_bytes=facts.tensor_bytes,
        header_bytes=facts.file_bytes - facts.tensor_bytes,
        files=tuple(
            ModelFileRow(path=str(part), bytes=part.stat().st_size, tensors=len(held))
            for part, held in zip(model.paths, model.tensors, strict=True)
        ),
        bytes_by_piece=_sum(tensors),
        bytes_by_type=dict(facts.bytes_by_type),
        layer_bytes=_by_layer(tensors),
        metadata=metadata,
        tokenizer=tokenizer,
        chat_template=template,
        templates=_further_templates(model.header),
        licence=facts.license,
        source=facts.source,
        base=base_repository(model.header),
    )


def read_tensors(path: Path) -> tuple[TensorRow, ...]:
    """Return every tensor of a model, in the order of its files. Blocks; raises AppError."""
    return tensor_rows(read_model(path))


def read_template(path: Path) -> str:
    """Return a model's chat template, "" where it has none. Blocks; raises AppError."""
    model = read_model(path)
    with open_file(model.paths[0]) as source:
        return _template(source, model.header.metadata.get(TEMPLATE))


def tensor_rows(model: ModelFile) -> tuple[TensorRow, ...]:
    """Return the tensors as they are shown."""
    return tuple(
        _tensor_row(tensor, number)
        for number, part in enumerate(model.tensors)
        for tensor in part
    )  # fmt: skip


def piece_of(tensor_name: str) -> tuple[int | None, Piece]:
    """Return the layer and the piece of the model a tensor belongs to; norms apart."""
    layer, part = part_of(tensor_name)
    if "norm" in tensor_name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]:
        return layer, "norms"
    return layer, part


def base_repository(header: GgufHeader) -> str:
    """Return the repository a model was made from as OWNER/NAME, "" where it does not say."""
    for key in ("general.base_model.0.repo_url", "general.source.repo_url"):
        name = urlsplit(header.text(key) or "").path.strip("/")
        if _REPOSITORY.fullmatch(name):
            return name
    said = (header.text("general.source.huggingface.repository") or "").strip()
    return said if _REPOSITORY.fullmatch(said) else ""


# --- parts -------------------------------------------------------------------------------------


def _tensor_row(tensor: TensorInfo, file: int) -> TensorRow:
    layer, piece = piece_of(tensor.name)
    name = printable(tensor.name)
    return TensorRow(name, tensor.kind.name, tensor.shape, tensor.bytes, layer, piece, file)


def _sum(tensors: tuple[TensorRow, ...]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for tensor in tensors:
        sums[tensor.piece] = sums.get(tensor.piece, 0) + tensor.bytes
    return sums


def _by_layer(tensors: tuple[TensorRow, ...]) -> tuple[LayerBytes, ...]:
    layers: dict[int | None, dict[str, int]] = {}
    for tensor in tensors:
        row = layers.setdefault(tensor.layer, {})
        row[tensor.piece] = row.get(tensor.piece, 0) + tensor.bytes
    numbers = sorted(number for number in layers if number is not None)
    rows = [LayerBytes(layer=number, bytes_by_piece=layers[number]) for number in numbers]
    if None in layers:
        rows.append(LayerBytes(layer=None, bytes_by_piece=layers[None]))
    return tuple(rows)


def _metadata_row(source: Source, key: str, value: Value) -> MetadataRow:
    key = printable(key)
    if isinstance(value, LongList):
        kind = f"list of {value.count:,} ({TYPE_NAMES.get(value.item, '?')})"
        return MetadataRow(key=key, kind=kind, value=_beginning(source, value))
    if isinstance(value, tuple):
        shown = ", ".join(_shown(item) for item in value[:SHOWN_ITEMS])
        more = ", …" if len(value) > SHOWN_ITEMS else ""
        return MetadataRow(key=key, kind=f"list of {len(value):,}", value=f"{shown}{more}")
    if isinstance(value, LongText):
        text = read_long_text(source, LongText(value.offset, min(value.bytes, SHOWN_TEXT)))
        return MetadataRow(key=key, kind=f"text of {value.bytes:,} bytes", value=f"{text}…")
    return MetadataRow(key=key, kind=_kind(value), value=_shown(value))


def _beginning(source: Source, items: LongList) -> str:
    if items.item == STRING and items.end - items.offset > LONGEST_LIST_BYTES:
        return "…"
    first = read_long_list(source, items, 0, SHOWN_ITEMS)
    return ", ".join(_shown(item) for item in first) + ", …"


def printable(text: str) -> str:
    """Return foreign text without what could disguise it, such as characters that turn it round."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def _kind(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, str):
        return "text"
    return "whole number" if isinstance(value, int) else "number"


def _shown(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = printable(str(value))
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"


def _tokenizer(source: Source, header: GgufHeader, facts: ModelFacts) -> TokenizerFacts:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    special = []
    for key in header.metadata:
        match = _TOKEN_ID.fullmatch(key)
        number = header.whole(key)
        if match is None or number is None:
            continue
        text = _token_text(source, tokens, number)
        role = _ROLES.get(match[1], match[1].replace("_", " "))
        special.append(SpecialToken(role=role, id=number, text=text))
    told = facts.tokenizer
    return TokenizerFacts(
        model=told.model,
        pre=told.pre,
        tokens=told.tokens,
        merges=told.merges,
        special=tuple(special),
    )


def _token_text(source: Source, tokens: Value | None, number: int) -> str:
    if isinstance(tokens, tuple):
        return str(tokens[number]) if 0 <= number < len(tokens) else ""
    if isinstance(tokens, LongList) and tokens.item == STRING and 0 <= number < tokens.count:
        try:
            return str(read_long_list(source, tokens, number, 1)[0])[:200]
        except AppError:
            return ""
    return ""


def _template(source: Source, value: Value | None) -> str:
    if isinstance(value, LongText):
        return read_long_text(source, LongText(value.offset, min(value.bytes, LONGEST_TEMPLATE)))
    return value[:LONGEST_TEMPLATE] if isinstance(value, str) else ""


def _further_templates(header: GgufHeader) -> tuple[str, ...]:
    prefix = f"{TEMPLATE}."
    return tuple(key.removeprefix(prefix) for key in header.metadata if key.startswith(prefix))
