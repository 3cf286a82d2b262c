"""The list of models merged with their engines."""

from __future__ import annotations

import pytest

from doubles.client import FakeClient
from doubles.scenes import BROKEN, GEMMA, KIMI, QWEN
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.state.models import ModelRow, ModelsState
from freehold.ui.state.session import Session
from freehold.wire import EngineChanged, EngineState


async def test_rows_are_sorted_and_carry_engine_and_default(session: Session) -> None:
    models = ModelsState(session)
    assert [row.entry.name for row in models.rows] == [
        "Gemma 4 12B",
        "Kimi K2 Instruct",
        "Mistral Small 24B",
        "Qwen3 30B A3B",
    ]
    conditions = {row.ref: row.condition for row in models.rows}
    assert conditions == {
        GEMMA.ref: "idle",
        KIMI.ref: "loading",
        BROKEN.ref: "broken",
        QWEN.ref: "loaded",
    }
    assert [row.ref for row in models.rows if row.is_default] == [QWEN.ref]
    assert [row.ref for row in models.loaded] == [QWEN.ref]


async def test_only_the_row_that_changed_is_told(session: Session, workstation: FakeClient) -> None:
    models = ModelsState(session)
    rows: list[str] = []
    lists: list[str] = []
    models.row_changed.connect(rows.append)
    models.rows_changed.connect(lambda: lists.append("rows"))
    engine = EngineState(ref=KIMI.ref, phase="loading", fraction=0.8)
    workstation.push(EngineChanged(ref=KIMI.ref, engine=engine))
    workstation.push(EngineChanged(ref=KIMI.ref, engine=engine))
    await until(lambda: rows)
    await workstation.remove_model(GEMMA.ref)
    await until(lambda: lists)
    assert rows == [KIMI.ref]
    assert lists == ["rows"]


async def test_unknown_until_the_first_snapshot() -> None:
    client = FakeClient()
    session = Session(client)
    models = ModelsState(session)
    known: list[bool] = []
    models.known_changed.connect(lambda: known.append(models.is_known))
    assert not models.is_known
    session.start()
    await until(lambda: known)
    assert known == [True]
    assert models.rows == ()
    await session.stop()


async def test_a_failed_load_shows_its_cause_in_the_row(
    session: Session, workstation: FakeClient
) -> None:
    models = ModelsState(session)
    workstation.fail_load(GEMMA.ref, AppError("does_not_fit", "Too large.", "Use less context."))
    await models.load(GEMMA.ref)
    await until(lambda: models.row(GEMMA.ref).condition == "failed")
    error = models.row(GEMMA.ref).error
    assert (error.message, error.hint) == ("Too large.", "Use less context.")


def test_facts_say_what_is_known_and_nothing_else() -> None:
    assert ModelRow(KIMI, None, False).facts == (
        "UD-Q2_K_XL",
        "381 GB",
        "deepseek2",
        "1.03 T parameters",
        "8 of 384 experts",
        "131 k context",
    )
    bare = type(KIMI)(
        ref="x", name="X", arch="llama", bytes=5, path="/x", origin="imported", ready=True
    )
    assert ModelRow(bare, None, False).facts == ("5 B", "llama")


async def test_importing_nothing_is_refused_before_it_is_sent(
    session: Session, workstation: FakeClient
) -> None:
    with pytest.raises(AppError, match="No file"):
        await ModelsState(session).import_file("  ")
    assert workstation.called("import_model") == []
