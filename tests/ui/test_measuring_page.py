"""The Machine page's measurements: calibration, tuning, and predicted beside measured."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest_asyncio

from doubles.client import FakeClient
from doubles.machine_scene import machine_page
from doubles.scenes import KIMI
from doubles.waiting import until
from freehold.ui.machine.inventory_cards import InventoryCards
from freehold.ui.machine.page import MachinePage
from freehold.ui.machine.plan_picture import real_words
from freehold.ui.machine.tune_dialog import TuneDialog
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.wire import LoadRequest
from freehold.wire_machine import (
    CalibrationInfo,
    GpuCalibration,
    RealRuns,
    TuneResult,
    TuneRow,
)


@pytest_asyncio.fixture
async def page(
    workstation: FakeClient, session: Session, theme: Theme
) -> AsyncIterator[MachinePage]:
    async with machine_page(workstation, session, theme) as page:
        yield page


async def test_the_machine_is_measured_with_progress_and_cancelled(
    page: MachinePage, workstation: FakeClient
) -> None:
    card = page.speed
    assert card.note.isVisible()
    card.start.click()
    await until(lambda: card.bar.isVisible())
    assert not page.tune.isEnabled()
    assert workstation.machine.job is not None
    workstation.machine.job = msgspec.structs.replace(
        workstation.machine.job, fraction=0.5, words="Running small models: 5 of 10", left_s=9.0
    )
    page.machine.refresh()
    await until(lambda: card.bar.value() == 500)
    assert card.words.text() == "Running small models: 5 of 10  ·  9 s left"
    card.cancel.click()
    await until(lambda: card.start.isVisible())
    assert not card.problem.isVisible()
    assert card.note.isVisible()


async def test_what_was_measured_is_shown_and_doubted_when_it_was_busy(
    page: MachinePage, workstation: FakeClient
) -> None:
    workstation.machine.calibration = CalibrationInfo(
        taken_at=1.79e9, ram_bytes_per_s=231e9, weight_bytes_per_s=187e9, matrix_flops=1.9e12,
        disk_bytes_per_s=6.4e9, load=3.2,
        gpus=(
            GpuCalibration(
                uuid="GPU-0000", memory_bytes_per_s=1.42e12, flops=2.1e14, pcie_bytes_per_s=2.5e10
            ),
        ),
    )  # fmt: skip
    page.machine.refresh()
    await until(lambda: page.speed.facts.isVisible())
    assert page.speed.facts.value("Processor").startswith("187 GB/s of 8-bit weights")
    assert page.speed.facts.value("GPU 0").startswith("H100 PCIe: weights 1.42 TB/s")
    assert "load 3.2" in page.speed.warning.text()
    assert page.speed.warning.isVisible()


async def test_tuning_shows_its_table_and_the_way_back(
    page: MachinePage, workstation: FakeClient, session: Session, theme: Theme
) -> None:
    models = ModelsState(session, session)
    row = models.row(KIMI.ref)
    assert row is not None
    dialog = TuneDialog(session, row, page.machine, theme)
    dialog.show()
    assert not dialog.table.texts()
    dialog.start.click()
    await until(lambda: dialog.bar.isVisible())
    before = TuneRow(
        settings=LoadRequest(), words="as the engine chooses", decode_tokens_per_s=11.2,
        prefill_tokens_per_s=212.0, turn_s=27.6, took_s=9.0,
    )  # fmt: skip
    best = msgspec.structs.replace(
        before, settings=LoadRequest(threads=32), words="32 threads", turn_s=23.0
    )
    failed = TuneRow(settings=LoadRequest(threads=64), words="64 threads", problem="Too many.")
    rows = (before, best, failed)
    assert workstation.machine.job is not None
    workstation.machine.job = msgspec.structs.replace(
        workstation.machine.job, fraction=0.3, rows=rows[:2]
    )
    page.machine.refresh()
    await until(lambda: len(dialog.table.texts()) == 2)
    workstation.machine.tuned[KIMI.ref] = TuneResult(
        ref=KIMI.ref, taken_at=1.0, rows=rows, best=1, in_use=True
    )
    workstation.machine.job = msgspec.structs.replace(workstation.machine.job, is_over=True)
    page.machine.refresh()
    await until(lambda: dialog.revert.isVisible())
    assert dialog.table.texts()[1][0] == "32 threads  ·  kept"
    assert dialog.table.texts()[2] == ("64 threads: Too many.", "—", "—")
    assert "“32 threads” is 1.2 times as fast" in dialog.outcome.text()
    dialog.revert.click()
    await until(lambda: dialog.again.isVisible())
    assert "It is not in use." in dialog.outcome.text()
    dialog.close()


async def test_predicted_stands_beside_measured(page: MachinePage, workstation: FakeClient) -> None:
    workstation.machine.real = RealRuns(decode_tokens_per_s=11.4, count=7, correction=1.31)
    page.plan.ask_again()
    await until(lambda: page.picture.real.isVisible())
    assert page.picture.real.text() == (
        "Measured: 11.4 tokens/s over 7 answers, 1.3 times as slow as was calculated."
    )
    near = RealRuns(decode_tokens_per_s=10.0, count=1, correction=1.02)
    assert real_words(near) == "Measured: 10.0 tokens/s over 1 answer, as was calculated."


async def test_a_machine_not_read_yet_says_so(session: Session, theme: Theme) -> None:
    cards = InventoryCards(theme)
    cards.show()
    assert cards.reading.isVisible()
    assert cards.reading.text() == "Reading the machine…"
    cards.close()
