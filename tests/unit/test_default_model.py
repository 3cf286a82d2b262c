"""The model of a new chat: what was chosen first, the starter before a stranger."""

from __future__ import annotations

from freehold.ui.state.default_model import choose_default, has_own, starter_of
from freehold.wire import EngineState, ModelEntry


def model(
    ref: str, origin: str = "imported", *, ready: bool = True, chat: bool = True
) -> ModelEntry:
    return ModelEntry(
        ref=ref,
        name=ref,
        arch="llama",
        bytes=1,
        path=f"/models/{ref}",
        origin=origin,
        ready=ready,
        kind="chat" if chat else "embedding",
    )


STARTER = model("starter", "bundled")
MINILM = model("a-embedder", "bundled", chat=False)
FOUND = model("b-found", "Ollama")
OWN = model("own", "downloaded")


def test_the_order_of_wishes() -> None:
    models = (MINILM, FOUND, OWN, STARTER, model("z"))
    loaded = (EngineState(ref="z", phase="ready"),)
    assert choose_default(models, loaded, "b-found", ("own",)) == "b-found"
    assert choose_default(models, loaded, "", ("own",)) == "z"
    assert choose_default(models, (), "gone", ("gone", "b-found")) == "b-found"
    assert choose_default(models, (), "") == "own"


def test_the_starter_comes_before_a_model_nobody_chose() -> None:
    assert choose_default((MINILM, FOUND, STARTER), (), "") == "starter"
    assert choose_default((MINILM, FOUND), (), "") == "b-found"


def test_what_cannot_chat_is_never_chosen() -> None:
    broken = model("starter", "bundled", ready=False)
    failed = (EngineState(ref="starter", phase="failed"),)
    assert choose_default((MINILM, broken), failed, "starter", ("starter", "a-embedder")) == ""
    assert choose_default((), (), "") == ""


def test_a_broken_starter_is_still_the_starter() -> None:
    broken = model("starter", "bundled", ready=False)
    assert starter_of((MINILM, broken)) == broken
    assert starter_of((MINILM, OWN)) is None
    assert not has_own((MINILM, broken))
    assert has_own((MINILM, broken, FOUND))
