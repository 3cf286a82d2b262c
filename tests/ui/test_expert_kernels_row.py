"""The Machine page has one line about the expert kernels where there is a GPU's driver."""

from __future__ import annotations

import msgspec
import pytest
from pytestqt.qtbot import QtBot

from doubles.machine import EPYC, NVME, gpu, memory
from freehold.ui.machine.inventory_cards import InventoryCards
from freehold.ui.theme import Theme
from freehold.wire_machine import Inventory

SAID = "version 1.0.0, off: not asked for; they wait to be measured on a GPU"


def test_one_line_says_whether_they_are_on(qtbot: QtBot, theme: Theme) -> None:
    cards = InventoryCards(theme)
    qtbot.addWidget(cards)
    inventory = Inventory(
        gpus=(gpu("NVIDIA H100", 80),), cpu=EPYC, memory=memory(512, 400), disks=(NVME,),
        driver="580.65.06", gpu_note="",
    )  # fmt: skip
    cards.show_inventory(inventory)
    with pytest.raises(KeyError):
        cards.facts.value("Expert kernels")
    cards.show_inventory(msgspec.structs.replace(inventory, expert_kernels=SAID))
    assert cards.facts.value("Expert kernels") == SAID
