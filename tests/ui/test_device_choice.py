"""The load dialog's choice of devices: order, how full, shares, pins, and what is remembered."""

from __future__ import annotations

import pytest

from doubles.client import FakeClient
from doubles.machine import gpu
from doubles.scenes import GEMMA, KIMI
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.library.page import ModelsPage
from freehold.ui.machine.load_dialog import LoadDialog
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire import LoadRequest
from freehold.wire_machine import PlanRequest


def asked(client: FakeClient) -> list[PlanRequest]:
    return [
        call.arguments["request"]  # type: ignore[misc]
        for call in client.calls
        if call.method == "machine.plan"
    ]


async def settled(dialog: LoadDialog) -> None:
    await until(lambda: not dialog.plan.is_waiting and dialog.plan.plan is not None)


async def settle_dialog(
    session: Session, theme: Theme, loads: list[LoadRequest]
) -> tuple[LoadDialog, ModelsState]:
    models = ModelsState(session, session)
    row = models.row(KIMI.ref)
    assert row is not None
    dialog = LoadDialog(session, row, theme, lambda _ref, how: loads.append(how))
    dialog.show()
    await settled(dialog)
    return dialog, models


async def test_another_device_moves_the_model(
    workstation: FakeClient, session: Session, theme: Theme
) -> None:
    workstation.machine.gpus = [gpu("H100 PCIe", 85.5), gpu("RTX 4090", 25.7, index=1)]
    loads: list[LoadRequest] = []
    dialog, _models = await settle_dialog(session, theme, loads)

    def held() -> dict[str, int]:
        assert dialog.plan.plan is not None
        return {d.engine_device or "": d.parts.weights for d in dialog.plan.plan.devices}

    both = held()
    assert both["CUDA0"] > both["CUDA1"] > 0
    dialog.choices.gpus.rows[0].box.setChecked(False)
    await until(lambda: not dialog.plan.is_waiting)
    alone = held()
    assert "CUDA0" not in alone
    assert alone["CPU"] > both["CPU"]
    dialog.choices.gpus.cpu_only.setChecked(True)
    await until(lambda: not dialog.plan.is_waiting)
    assert set(held()) == {"CPU", ""}
    dialog.close()


async def test_the_order_of_gpus_reserves_and_shares_are_asked_for(
    workstation: FakeClient, session: Session, theme: Theme
) -> None:
    workstation.machine.gpus = [gpu("H200", 150.7, index=n) for n in range(3)]
    loads: list[LoadRequest] = []
    dialog, _models = await settle_dialog(session, theme, loads)
    choice = dialog.choices.gpus
    choice.rows[2].earlier.click()
    choice.rows[1].earlier.click()  # the third GPU is the first now
    choice.rows[2].box.setChecked(False)
    choice.rows[0].kept.setValue(7)
    choice.shares.setText("2 : 1")
    choice.tell()
    await settled(dialog)
    request = asked(workstation)[-1]
    assert request.devices == ("CUDA2", "CUDA0")
    assert request.reserve_bytes == (7 * 10**9, 10**9)
    assert request.tensor_split == (2.0, 1.0)
    plan = dialog.plan.plan
    assert plan is not None
    assert [d.engine_device for d in plan.devices[:2]] == ["CUDA2", "CUDA0"]
    assert plan.devices[0].layers == pytest.approx(2 * plan.devices[1].layers, abs=4)
    assert "pinned by hand" in dialog.picture.rows()[0].words.text()
    dialog.accept_button.click()
    assert loads[0].devices == ("CUDA2", "CUDA0")
    assert loads[0].tensor_split == (2.0, 1.0)


@pytest.mark.parametrize("text", ["2", "two : one", "1 : -1", "0 : 0", "1 : 1 : 1"])
async def test_shares_that_cannot_be_are_said_and_not_used(
    workstation: FakeClient, session: Session, theme: Theme, text: str
) -> None:
    workstation.machine.gpus = [gpu("H200", 150.7, index=n) for n in range(2)]
    dialog, _models = await settle_dialog(session, theme, [])
    choice = dialog.choices.gpus
    choice.shares.setText(text)
    choice.tell()
    assert choice.problem.text() == "Give one share for each of the 2 GPUs, like 2 : 1."
    assert choice.tensor_split() == ()
    dialog.close()


async def test_what_was_chosen_for_a_model_is_remembered(
    workstation: FakeClient, session: Session, theme: Theme
) -> None:
    workstation.machine.gpus = [gpu("H200", 150.7, index=n) for n in range(3)]
    options = LoadRequest(
        context_tokens=12_000, parallel=2, kv_type_k="q8_0", kv_type_v="q8_0",
        devices=("CUDA2", "CUDA1"), reserve_bytes=(3 * 10**9, 5 * 10**9), split_mode="none",
        main_gpu=1, cpu_expert_layers=9, gpu_layers=40,
    )  # fmt: skip
    workstation.machine.options[KIMI.ref] = options
    dialog, _models = await settle_dialog(session, theme, [])
    found = dialog.choices.load_request()
    for name in LoadRequest.__struct_fields__:
        if name not in ("reserve_bytes", "tensor_split"):
            assert getattr(found, name) == getattr(options, name), name
    assert found.reserve_bytes == options.reserve_bytes
    assert asked(workstation)[-1].gpu_layers == 40
    dialog.choices.gpus.gpu_layers.setValue(-1)
    assert dialog.choices.load_request().gpu_layers == -1  # the pin is taken back, not kept
    dialog.close()


async def test_a_model_whose_gpu_is_gone_is_offered_the_cpu(
    workstation: FakeClient, session: Session, theme: Theme
) -> None:
    gone = AppError(
        "engine_crashed", "The GPU H100 (CUDA0) does not answer any more.", "Restart.",
        detail={"fallback": "cpu"},
    )  # fmt: skip
    workstation.fail_load(GEMMA.ref, gone)
    models = ModelsState(session, session)
    page = ModelsPage(session, models, SettingsState(session, session), theme)
    page.show()
    page.card(GEMMA.ref).load.click()
    await until(lambda: page.card(GEMMA.ref).load.text() == "Load on the CPU")
    assert page.card(GEMMA.ref).problem.text().startswith("The GPU H100")
    page.card(GEMMA.ref).load.click()
    await until(lambda: len(workstation.called("load_model")) == 2)
    first, second = (call["request"] for call in workstation.called("load_model"))
    assert first is None
    assert second == LoadRequest(devices=(), gpu_layers=-1, tensor_split=())
    page.close()
    page.deleteLater()
