"""The models that come with Freehold on the Models page: marked, explained, mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from PySide6.QtWidgets import QApplication

from doubles.scenes import BROKEN, GEMMA
from freehold.ui.library.model_card import ModelActions, ModelCard
from freehold.ui.state.models import ModelRow
from freehold.ui.theme import Theme
from freehold.wire import ModelEntry

STARTER = msgspec.structs.replace(GEMMA, ref="starter", origin="bundled")
EMBEDDER = msgspec.structs.replace(STARTER, ref="vectors", kind="embedding")
DAMAGED = msgspec.structs.replace(BROKEN, ref="starter", origin="bundled")


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def card(qapp: QApplication, theme: Theme, asked: list[str]) -> Callable[[ModelEntry], ModelCard]:
    fields: dict[str, Any] = {
        name: (lambda *_ref, name=name: asked.append(name))
        for name in ModelActions.__dataclass_fields__
    }

    def make(entry: ModelEntry) -> ModelCard:
        return ModelCard(theme, ModelRow(entry, None, False), ModelActions(**fields))

    return make


def test_both_are_marked_and_say_what_they_are_for(
    card: Callable[[ModelEntry], ModelCard],
) -> None:
    starter, embedder, other = card(STARTER), card(EMBEDDER), card(GEMMA)
    for mine in (starter, embedder):
        assert mine.bundled.isVisibleTo(mine)
        assert mine.bundled.text() == "Comes with Freehold"
        assert not mine.remove_action.isVisible()
    assert "still wrong" in starter.about.text()
    assert "searched by meaning" in embedder.about.text()
    assert not embedder.chat.isVisibleTo(embedder)
    assert not other.bundled.isVisibleTo(other)
    assert not other.about.isVisibleTo(other)
    assert other.remove_action.isVisible()


def test_a_damaged_one_offers_import(
    card: Callable[[ModelEntry], ModelCard], asked: list[str]
) -> None:
    damaged = card(DAMAGED)
    assert damaged.problem.isVisibleTo(damaged)
    assert not damaged.about.isVisibleTo(damaged)
    damaged.bring.click()
    assert asked == ["bring"]
    foreign = card(BROKEN)
    assert not foreign.bring.isVisibleTo(foreign)


def test_a_card_that_shows_another_model_forgets_the_mark(
    card: Callable[[ModelEntry], ModelCard],
) -> None:
    reused = card(STARTER)
    reused.show_row(ModelRow(GEMMA, None, False))
    assert not reused.bundled.isVisibleTo(reused)
    assert not reused.about.isVisibleTo(reused)
    assert reused.remove_action.isVisible()
