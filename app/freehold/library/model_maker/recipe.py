"""What model to make, and the making of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from freehold.gguf.writer import MetadataValue, TensorData, write_gguf
from freehold.library.model_maker import bert, kimi, llama
from freehold.library.model_maker.tensors import TensorMaker
from freehold.paths import resources

Kind = Literal["kimi", "llama", "bert"]
Size = Literal["tiny", "small", "1b"]
KINDS: Final[tuple[Kind, ...]] = ("kimi", "llama", "bert")
SIZES: Final[tuple[Size, ...]] = ("tiny", "small", "1b")
ARCHITECTURES: Final = {"kimi": "deepseek2", "llama": "llama", "bert": "bert"}
TITLES: Final = {"kimi": "Kimi-shaped", "llama": "Llama-shaped", "bert": "Embedder"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model to make.

    template: chat template text; None for the kind's own.
    arch: the architecture's name in the file, to make one that llama.cpp does not know.
    context_tokens: trained context; None for the size's own.
    answer_tokens: about how long a greedy answer is before it ends by itself; None for never.
    """

    kind: Kind = "kimi"
    size: Size = "tiny"
    seed: int = 1
    template: str | None = None
    arch: str | None = None
    context_tokens: int | None = None
    name: str | None = None
    answer_tokens: int | None = None


def write_model(path: Path, recipe: Recipe) -> int:
    """Write the model; return the file's size in bytes."""
    make = TensorMaker(recipe.seed)
    arch = recipe.arch or ARCHITECTURES[recipe.kind]
    specific, tensors = _contents(recipe, arch, make)
    metadata: dict[str, MetadataValue] = {
        "general.architecture": arch,
        "general.type": "model",
        "general.name": recipe.name or f"Random {TITLES[recipe.kind]} {recipe.size}",
        "general.description": (
            "Random weights, made by Freehold for tests and benchmarks only. It knows nothing."
        ),
        "general.quantization_version": 2,
        "general.alignment": 32,
    }
    return write_gguf(path, metadata | specific, tensors)


def _contents(
    recipe: Recipe, arch: str, make: TensorMaker
) -> tuple[dict[str, MetadataValue], list[TensorData]]:
    if recipe.kind == "kimi":
        shape = kimi.SHAPES[recipe.size]
        words = kimi.vocabulary()
        keys = kimi.metadata(shape, arch, recipe.context_tokens or shape.context_tokens)
        keys |= {"general.file_type": shape.file_type}
        keys |= kimi.tokenizer_metadata(words) | _template(recipe, kimi_template())
        return keys, list(kimi.tensors(shape, words, make, recipe.answer_tokens))
    if recipe.kind == "llama":
        dense = llama.SHAPES[recipe.size]
        words = llama.vocabulary()
        keys = llama.metadata(dense, arch, recipe.context_tokens or dense.context_tokens)
        keys |= {"general.file_type": 7}
        keys |= llama.tokenizer_metadata(words) | _template(recipe, llama.CHATML)
        return keys, list(llama.tensors(dense, words, make, recipe.answer_tokens))
    encoder = bert.SHAPES[recipe.size]
    words = bert.vocabulary()
    context = recipe.context_tokens or encoder.context_tokens
    keys = bert.metadata(encoder, arch, context) | {"general.file_type": 7}
    return keys | bert.tokenizer_metadata(words), list(bert.tensors(encoder, words, make, context))


def _template(recipe: Recipe, own: str) -> dict[str, MetadataValue]:
    text = own if recipe.template is None else recipe.template
    return {"tokenizer.chat_template": text} if text else {}


def kimi_template() -> str:
    """Return Kimi K2 Instruct's chat template, as llama.cpp carries it."""
    return (resources() / "models" / "kimi-k2-instruct.jinja").read_text(encoding="utf-8")
