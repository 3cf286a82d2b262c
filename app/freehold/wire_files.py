"""Values of the API about model files: what is in them, and what is made from them."""

from __future__ import annotations

from typing import Literal

from freehold.wire import ErrorInfo, Value

Piece = Literal[
    "experts", "shared_experts", "attention", "feed_forward", "embeddings", "norms", "other"
]


class ModelFileRow(Value, frozen=True, kw_only=True):
    """A file of a model."""

    path: str
    bytes: int
    tensors: int


class LayerBytes(Value, frozen=True, kw_only=True):
    """Where the bytes of a layer are; layer None: what lies outside of layers."""

    layer: int | None
    bytes_by_piece: dict[str, int]


class MetadataRow(Value, frozen=True, kw_only=True):
    """A metadata value as text; a long one is shown by its beginning."""

    key: str
    kind: str
    value: str


class SpecialToken(Value, frozen=True, kw_only=True):
    """A token with a role, such as the one that ends an answer."""

    role: str
    id: int
    text: str


class TokenizerFacts(Value, frozen=True, kw_only=True):
    """What the file says of its vocabulary."""

    model: str
    pre: str
    tokens: int
    merges: int
    special: tuple[SpecialToken, ...] = ()


class ModelAnatomy(Value, frozen=True, kw_only=True):
    """A model as its files describe it; sizes are counted, not estimated.

    header_bytes: what is not weights. templates: names of further chat templates. relatives: refs
    of other variants of the same model here. base: the repository it was made from, "" if unsaid.
    """

    ref: str
    name: str
    arch: str
    kind: Literal["chat", "embedding"]
    quant: str
    parameters: int
    active_parameters: int
    bits_per_weight: float
    experts: int
    experts_used: int
    layers: int
    context_tokens: int
    embedding_size: int
    tensors: int
    tensor_bytes: int
    header_bytes: int
    files: tuple[ModelFileRow, ...]
    bytes_by_piece: dict[str, int]
    bytes_by_type: dict[str, int]
    layer_bytes: tuple[LayerBytes, ...]
    metadata: tuple[MetadataRow, ...]
    tokenizer: TokenizerFacts
    chat_template: str = ""
    templates: tuple[str, ...] = ()
    licence: str = ""
    source: str = ""
    base: str = ""
    relatives: tuple[str, ...] = ()


class TensorRow(Value, frozen=True, array_like=True):
    """A tensor: `shape` in ggml's order (row length first); file: its place in `files`."""

    name: str
    kind: str
    shape: tuple[int, ...]
    bytes: int
    layer: int | None
    piece: Piece
    file: int = 0


class DiffLine(Value, frozen=True, array_like=True):
    """A line of a comparison; "gap": lines that are the same were left out here."""

    kind: Literal["same", "added", "removed", "gap"]
    text: str


class TemplateComparison(Value, frozen=True, kw_only=True):
    """A model's chat template beside another one.

    other: whose template it is compared with. added: lines this model has and the other lacks.
    """

    other: str
    same: bool
    added: int = 0
    removed: int = 0
    lines: tuple[DiffLine, ...] = ()


class QuantiseRequest(Value, frozen=True, kw_only=True):
    """What to make of a model; "" leaves a part to the mix.

    mix: one of llama.cpp's mixes, such as Q4_K_M. experts, shared_experts, attention, embeddings,
    output: types of those tensors. tensor_types: (pattern, type) for tensors by name, tried first.
    matrix: path of an importance matrix. again: also from a model that is quantised already.
    name: of the result; "" makes one.
    """

    ref: str
    mix: str
    experts: str = ""
    shared_experts: str = ""
    attention: str = ""
    embeddings: str = ""
    output: str = ""
    tensor_types: tuple[tuple[str, str], ...] = ()
    matrix: str = ""
    again: bool = False
    name: str = ""


class QuantisePlan(Value, frozen=True, kw_only=True):
    """What a request would make, by llama.cpp's own dry run; the size is exact.

    bytes_by_type: of the result. needs_matrix: the quantiser refuses without one. problem: why it
    cannot be begun now, "" when it can.
    """

    name: str
    source_bytes: int
    bytes: int
    bits_per_weight: float
    tensors: int
    changed: int
    bytes_by_type: dict[str, int]
    bytes_by_piece: dict[str, int]
    files: int = 1
    free_bytes: int = 0
    needs_matrix: bool = False
    problem: str = ""


class ConvertRequest(Value, frozen=True, kw_only=True):
    """A folder with a checkpoint in safetensors, and the type of the weights to be written."""

    folder: str
    kind: Literal["auto", "f16", "bf16", "q8_0"] = "auto"
    name: str = ""


class Making(Value, frozen=True, kw_only=True):
    """A model that is being made on this machine.

    step: what is done now. eta_s: estimated from the pace so far, None while there is none.
    """

    id: str
    kind: Literal["quantise", "convert"]
    name: str
    source: str
    state: Literal["running", "done", "failed", "cancelled"]
    done_bytes: int = 0
    total_bytes: int = 0
    step: str = ""
    eta_s: float | None = None
    ref: str = ""
    error: ErrorInfo | None = None
    begun_at: float = 0.0


class ModelCopy(Value, frozen=True, kw_only=True):
    """One of several copies of a model; frees: what deleting it gives back (0 for a link)."""

    ref: str
    path: str
    origin: str
    frees: int


class DuplicateGroup(Value, frozen=True, kw_only=True):
    """Models whose files are the same, byte for byte, by their SHA-256."""

    bytes: int
    copies: tuple[ModelCopy, ...]


class Duplicates(Value, frozen=True, kw_only=True):
    """What is here more than once; left_bytes: what still has to be read to be sure."""

    groups: tuple[DuplicateGroup, ...] = ()
    left_bytes: int = 0
