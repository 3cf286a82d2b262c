"""The Machine page and the load dialog before a scripted server with 0, 1, 2 and 8 GPUs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
import shiboken6
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.machine import gpu, memory
from doubles.machine_scene import machine_page, settled
from doubles.scenes import KIMI
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.machine.inventory_cards import live_words, program_words
from freehold.ui.machine.load_dialog import LoadDialog
from freehold.ui.machine.page import MachinePage
from freehold.ui.machine.plan_bar import slices
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.wire import LoadRequest
from freehold.wire_machine import PlanRequest


def asked(client: FakeClient) -> list[PlanRequest]:
    return [
        call.arguments["request"]  # type: ignore[misc]
        for call in client.calls
        if call.method == "machine.plan"
    ]


@pytest_asyncio.fixture
async def page(
    workstation: FakeClient, session: Session, theme: Theme
) -> AsyncIterator[MachinePage]:
    async with machine_page(workstation, session, theme) as page:
        yield page


async def test_the_picture_shows_every_device_and_why(page: MachinePage) -> None:
    rows = page.picture.rows()
    assert len(rows) == 2
    assert "NVIDIA H100 PCIe" in rows[0].words.text()
    assert "experts of" in rows[1].words.text()
    assert "expert layers stay in RAM because GPU 0 keeps 1 GB free" in page.picture.reasons.text()
    assert page.picture.verdict.text() == "Fits"


async def test_bars_are_as_long_as_their_bytes(page: MachinePage) -> None:
    plan = page.plan.plan
    assert plan is not None
    bar = page.picture.rows()[0].bar
    device = plan.devices[0]
    places = bar.places()
    assert [name for name, _, _ in places] == [name for name, _ in slices(device)]
    for _, size, place in places:
        assert place.width() == pytest.approx(size / device.total_bytes * bar.width(), abs=0.01)
    for (_, _, left), (_, _, right) in itertools.pairwise(places):
        assert left.right() == pytest.approx(right.left())
    assert places[-1][2].right() <= bar.width() + 0.01


async def test_choices_are_asked_for_and_shown(page: MachinePage, workstation: FakeClient) -> None:
    before = page.plan.plan
    assert before is not None
    page.choices.context.show_value("131072")
    page.choices.kv_type.show_value("q8_0")
    page.choices.parallel.show_value(2)
    page.choices.gpus.rows[0].kept.setValue(20)
    page.choices.changed.emit()
    await settled(page)
    last = asked(workstation)[-1]
    assert (last.context_tokens, last.kv_type, last.parallel) == (131_072, "q8_0", 2)
    assert last.reserve_bytes == (20_000_000_000,)
    after = page.plan.plan
    assert after is not None
    assert after.devices[0].expert_layers < before.devices[0].expert_layers
    assert "keeps 20 GB free" in page.picture.reasons.text()


async def test_only_the_last_answer_counts(page: MachinePage) -> None:
    page.choices.gpus.cpu_only.setChecked(True)
    page.choices.gpus.cpu_only.setChecked(False)
    page.choices.gpus.cpu_only.setChecked(True)
    await until(lambda: page.plan.plan is not None and len(page.plan.plan.devices) == 2)
    await settled(page)
    assert page.choices.gpus.devices() == ()
    assert page.picture.verdict.text() == "Runs from the disk, slowly"
    assert [row.words.text()[:3] for row in page.picture.rows()] == ["RAM", "Dis"]


async def test_a_machine_to_buy(page: MachinePage) -> None:
    page.where.show_value("8xh200")
    page.where.activated.emit(0)
    await until(lambda: page.plan.plan is not None and len(page.plan.plan.devices) == 10)
    assert page.picture.verdict.text() == "Fits on the GPU"
    assert "tokens/s" in page.picture.speed.text()
    assert page.picture.basis.text() == "an estimate"


async def test_a_problem_is_said_instead_of_a_picture(
    page: MachinePage, workstation: FakeClient
) -> None:
    workstation.machine.fail_next(
        "machine.plan", AppError("invalid_model", "The file is damaged.", "Get it again.")
    )
    page.choices.context.show_value("8192")
    page.choices.changed.emit()
    await until(lambda: page.plan.problem is not None)
    assert page.picture.problem.isVisible()
    assert page.picture.problem.text() == "The file is damaged."
    assert not page.picture.rows()
    page.choices.context.show_value("4096")
    page.choices.changed.emit()
    await until(lambda: page.plan.plan is not None)
    assert not page.picture.problem.isVisible()


async def test_eight_gpus(page: MachinePage, workstation: FakeClient) -> None:
    workstation.machine.gpus = [gpu("H200", 150.7, index=n) for n in range(8)]
    page.machine.refresh()
    await until(lambda: len(page.choices.gpus.boxes) == 8)
    await until(lambda: page.plan.plan is not None and len(page.plan.plan.devices) == 10)
    assert len([card for card in page.inventory.gpus if card.isVisibleTo(page)]) == 8
    assert len(page.picture.rows()) == 9
    for box in page.choices.gpus.boxes[2:]:
        box.setChecked(False)
    await until(lambda: page.plan.plan is not None and len(page.plan.plan.devices) == 4)
    assert asked(workstation)[-1].devices == ("CUDA0", "CUDA1")


async def test_no_gpu_is_said_plainly(page: MachinePage, workstation: FakeClient) -> None:
    workstation.machine.gpus = []
    workstation.machine.memory = memory(64, 51)
    page.machine.refresh()
    await until(page.inventory.note.isVisible)
    assert "models run on the CPU" in page.inventory.note.text()
    assert not page.choices.gpus.boxes
    await until(lambda: page.plan.plan is not None and len(page.plan.plan.devices) == 2)


async def test_much_other_memory_is_planned_anew_and_little_is_not(
    page: MachinePage, workstation: FakeClient
) -> None:
    before = len(asked(workstation))
    workstation.machine.memory = memory(256, 229)
    page.machine.refresh()
    await until(lambda: "229 GB available" in page.inventory.facts.value("Memory"))
    await settled(page)
    assert len(asked(workstation)) == before
    workstation.machine.memory = memory(256, 120)
    page.machine.refresh()
    await until(lambda: len(asked(workstation)) == before + 1)
    await until(lambda: "read from the disk" in page.picture.reasons.text())


async def test_a_hidden_page_looks_at_nothing(page: MachinePage, workstation: FakeClient) -> None:
    assert page.machine._timer.isActive()
    page.hide()
    assert not page.machine._timer.isActive()
    page.show()
    assert page.machine._timer.isActive()


async def test_an_unreadable_machine_is_told(page: MachinePage, workstation: FakeClient) -> None:
    told: list[object] = []
    page.machine.failed.connect(told.append)
    workstation.machine.fail_next("machine.state", AppError("internal", "It broke.", "See the log"))
    page.machine.refresh()
    await until(lambda: told)


def test_what_cannot_be_read_says_so() -> None:
    lost = msgspec.structs.replace(
        gpu("H100", 85.5), power_watts=None, temperature_c=None, load_percent=None, programs=()
    )
    assert live_words(lost) == [
        "Load no reading",
        "Power no reading",
        "Temperature no reading",
    ]
    assert program_words(lost) == "No program uses it."


# --- the load dialog --------------------------------------------------------------------------


@pytest_asyncio.fixture
async def dialog(
    workstation: FakeClient, session: Session, theme: Theme
) -> AsyncIterator[LoadDialog]:
    models = ModelsState(session, session)
    row = models.row(KIMI.ref)
    assert row is not None
    loads: list[tuple[str, LoadRequest]] = []
    dialog = LoadDialog(session, row, theme, lambda ref, how: loads.append((ref, how)))
    dialog.loads = loads  # type: ignore[attr-defined]
    dialog.open()
    await settled(dialog)
    yield dialog
    if shiboken6.isValid(dialog):
        dialog.close()
    QApplication.processEvents()


async def test_load_asks_for_what_is_shown(dialog: LoadDialog) -> None:
    dialog.choices.context.show_value("32768")
    dialog.choices.gpus.rows[0].kept.setValue(3)
    dialog.choices.changed.emit()
    await settled(dialog)
    loads = dialog.loads  # type: ignore[attr-defined]
    dialog.accept_button.click()
    ((ref, how),) = loads
    assert ref == KIMI.ref
    assert how.context_tokens == 32_768
    assert how.devices == ("CUDA0",)
    assert how.reserve_bytes == (3_000_000_000,)
    assert how.force is None
    assert how.memory is None


async def test_what_does_not_fit_can_be_forced_or_run_from_the_disk(
    dialog: LoadDialog,
) -> None:
    dialog.choices.gpus.cpu_only.setChecked(True)
    await until(lambda: dialog.accept_button.text() == "Load from the disk")
    loads = dialog.loads  # type: ignore[attr-defined]
    dialog.accept_button.click()
    assert loads[0][1].memory == "mmap"
    assert loads[0][1].devices == ()


async def test_no_is_a_button_that_says_so(
    workstation: FakeClient, session: Session, theme: Theme
) -> None:
    workstation.machine.gpus = []
    workstation.machine.memory = memory(1, 0.4)
    row = ModelsState(session, session).row(KIMI.ref)
    assert row is not None
    loads: list[LoadRequest] = []
    dialog = LoadDialog(session, row, theme, lambda _ref, how: loads.append(how))
    dialog.open()
    await until(lambda: dialog.accept_button.text() == "Load all the same")
    dialog.accept_button.click()
    assert loads[0].force
    QApplication.processEvents()
