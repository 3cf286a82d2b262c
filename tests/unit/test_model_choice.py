"""Which model answers: the one asked for, the default, the only one loaded, the only one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from doubles.server import fake_entry
from freehold.errors import AppError
from freehold.server.model_choice import ModelChoice
from freehold.wire import EngineState, ModelEntry


@dataclass
class Shelf:
    """Models in memory."""

    models: tuple[ModelEntry, ...]

    async def entries(self) -> tuple[ModelEntry, ...]:
        return self.models

    async def resolve(self, ref: str) -> ModelEntry:
        found = [m for m in self.models if m.ref == ref]
        if not found:
            raise AppError("model_not_found", "There is no such model.", "Choose another.")
        return found[0]


@dataclass
class Loaded:
    """Engines that say which models are loaded."""

    refs: tuple[str, ...] = ()

    def states(self) -> tuple[EngineState, ...]:
        return tuple(EngineState(ref=ref, phase="ready") for ref in self.refs)


def choice(*refs: str, loaded: tuple[str, ...] = (), default: str = "") -> ModelChoice:
    models = tuple(
        fake_entry(
            ref,
            kind="embedding" if ref.startswith("vec") else "chat",
            origin="bundled" if ref == "starter" else "imported",
        )
        for ref in refs
    )
    return ModelChoice(Shelf(models), Loaded(loaded), lambda: default)  # type: ignore[arg-type]


async def test_the_one_asked_for_wins() -> None:
    assert await choice("a", "b", loaded=("b",), default="b").chat("a") == "a"


async def test_then_the_default_then_the_only_loaded_then_the_only_one() -> None:
    assert await choice("a", "b", loaded=("a",), default="b").chat(None) == "b"
    assert await choice("a", "b", "vec", loaded=("a", "vec")).chat(None) == "a"
    assert await choice("a", "vec").chat(None) == "a"


async def test_the_starter_answers_where_the_person_has_no_model_of_their_own() -> None:
    assert await choice("starter", "vec").chat(None) == "starter"
    assert await choice("a", "starter", loaded=("starter",)).chat(None) == "a"
    with pytest.raises(AppError, match="no default"):
        await choice("a", "b", "starter", loaded=("starter",)).chat(None)


async def test_an_embedder_needs_no_default() -> None:
    assert await choice("a", "b", "vec", default="a").embedding(None) == "vec"


@pytest.mark.parametrize("refs", [(), ("a", "b"), ("vec",)])
async def test_no_guess_is_made_between_several_or_none(refs: tuple[str, ...]) -> None:
    with pytest.raises(AppError) as caught:
        await choice(*refs).chat(None)
    assert caught.value.code == "invalid_request"
    assert "freehold models" in caught.value.hint


async def test_an_embedder_is_not_asked_to_chat() -> None:
    with pytest.raises(AppError, match="embedding model"):
        await choice("vec").chat("vec")
