"""The page of a model's file: what it shows, its tables, its picture, its chat template."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from doubles.client import FakeClient
from doubles.files import TEMPLATE, kimi_tensors
from doubles.scenes import BROKEN, GEMMA, KIMI, QWEN
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.library.inspect import pieces
from freehold.ui.library.inspect.byte_map import LayerChart, TotalBar
from freehold.ui.library.inspect.page import TABS, InspectPage
from freehold.ui.library.inspect.tables import TensorsView
from freehold.ui.library.library_page import LibraryPage
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire_files import LayerBytes

BASE = "moonshotai/Kimi-K2-Instruct"


@pytest_asyncio.fixture
async def library(session: Session, theme: Theme) -> AsyncIterator[LibraryPage]:
    page = LibraryPage(
        session, ModelsState(session, session), SettingsState(session, session), theme
    )
    page.resize(1000, 760)
    page.show()
    yield page
    page.close()
    page.deleteLater()


@pytest_asyncio.fixture
async def page(library: LibraryPage) -> InspectPage:
    library.here.card(KIMI.ref).inspect_action.trigger()
    await until(lambda: library.inspector.tab("tensors").isEnabled())
    return library.inspector


async def test_the_menu_of_a_model_opens_its_page(library: LibraryPage, page: InspectPage) -> None:
    assert page.isVisible()
    assert page.title.text() == KIMI.name
    assert page.overview.facts is not None
    assert page.overview.facts.value("Experts") == "384 per layer, 8 chosen for each token"
    assert "32.9 B at work per token (3.2%)" in page.overview.facts.value("Parameters")
    page.back.click()
    assert not page.isVisible()
    assert library.here.isVisible()


async def test_every_view_can_be_reached_and_is_named(page: InspectPage) -> None:
    for key, title in TABS:
        page.tab(key).click()
        assert page.tab(key).isChecked()
        assert page.tab(key).accessibleName() == title
    assert page.template.isVisible()


async def test_files_that_cannot_be_read_say_why(
    library: LibraryPage, workstation: FakeClient
) -> None:
    problem = AppError("not_found", "There is no file at /m/x.gguf.", "Connect its disk.")
    workstation.files.fail_next("files.anatomy", problem)
    library.inspect(BROKEN.ref)
    page = library.inspector
    await until(lambda: page.problem.isVisible())
    assert "Connect its disk" in page.problem.text()
    assert not page.tab("tensors").isEnabled()
    page.again.click()
    await until(lambda: page.tab("tensors").isEnabled())
    assert not page.problem.isVisible()


# --- the picture -------------------------------------------------------------------------------


def test_pieces_differ_without_colour_and_with_it(theme: Theme) -> None:
    assert len(set(pieces.PATTERNS.values())) == len(pieces.WORDS)
    for setting in ("light", "dark"):
        theme.use(setting)
        assert len({theme.hex(token) for token in pieces.TOKENS.values()}) == len(pieces.WORDS)


async def test_the_bar_is_in_proportion_and_read_out(page: InspectPage) -> None:
    bar = page.overview.findChild(TotalBar)
    assert isinstance(bar, TotalBar)
    places = dict(bar.places())
    whole = sum(place.width() for place in places.values())
    assert whole == pytest.approx(bar.width())
    assert places["experts"].width() / whole == pytest.approx(0.97, abs=0.005)
    assert bar.accessibleDescription().startswith("Experts 367 GB, Attention")


async def test_a_layer_is_chosen_with_the_keys(page: InspectPage) -> None:
    chart = page.overview.layers
    assert chart is not None
    chart.setFocus()
    QTest.keyClick(chart, Qt.Key.Key_Home)
    assert page.overview.layer_words.text().startswith("Layer 0: ")
    QTest.keyClick(chart, Qt.Key.Key_Right)
    assert page.overview.layer_words.text().startswith("Layer 1: ")
    assert "Experts 6.12 GB" in chart.accessibleDescription()
    QTest.keyClick(chart, Qt.Key.Key_End)
    QTest.keyClick(chart, Qt.Key.Key_Right)
    assert page.overview.layer_words.text().startswith("Layer 60: ")


async def test_the_rest_can_be_seen_without_the_experts(page: InspectPage) -> None:
    chart = page.overview.layers
    assert chart is not None
    assert "experts" in chart.sizes(5)
    page.overview.without_experts.click()
    assert "experts" not in chart.sizes(5)
    assert "attention" in chart.sizes(5)


@pytest.mark.parametrize("count", [0, 1, 512])
def test_the_chart_is_drawn_for_any_number_of_layers(theme: Theme, count: int) -> None:
    rows = [LayerBytes(layer=n, bytes_by_piece={"attention": n}) for n in range(count)]
    chart = LayerChart(theme, rows)
    chart.resize(300, 180)
    image = QImage(chart.size(), QImage.Format.Format_RGB32)
    chart.render(image)
    chart.choose(3)
    chart.deleteLater()


# --- tables ------------------------------------------------------------------------------------


async def test_tensors_are_filtered_by_words_and_piece(page: InspectPage) -> None:
    view = page.tensors
    everything = len(view.model.shown)
    view.field.setText("BLK.3. q2_k")
    view.apply()
    names = [row.name for row in view.model.shown]
    assert names == ["blk.3.ffn_gate_exps.weight", "blk.3.ffn_up_exps.weight"]
    assert view.count.text().startswith(f"2 of {everything:,} tensors, 3.70 GB")
    view.field.clear()
    view.piece.setCurrentIndex(view.piece.findData("shared_experts"))
    view.apply()
    assert {row.piece for row in view.model.shown} == {"shared_experts"}
    view.field.setText("nothing like this")
    view.apply()
    assert view.model.rowCount() == 0


async def test_tensors_are_sorted_by_what_a_column_means(page: InspectPage) -> None:
    model = page.tensors.model
    titles = [column.title for column in model.columns]
    model.sort(titles.index("Size"), Qt.SortOrder.DescendingOrder)
    sizes = [row.bytes for row in model.shown]
    assert sizes == sorted(sizes, reverse=True)
    model.sort(titles.index("Tensor"))
    layers = [row.layer for row in model.shown if row.layer is not None]
    assert layers == sorted(layers), "blk.10 comes after blk.9, not after blk.1"
    model.sort(-1)
    assert model.shown == kimi_tensors()


async def test_marked_rows_are_copied(page: InspectPage) -> None:
    page.tensors.table.selectRow(0)
    page.tensors.table.copy()
    copied = QGuiApplication.clipboard().text().split("\t")
    assert copied[0] == "token_embd.weight"
    assert copied[-1] == "661 MB"


def test_five_thousand_rows_cost_what_is_on_the_screen(qapp: QApplication) -> None:
    """Counted, not timed: showing and scrolling ask for the visible rows alone."""
    asked = {}
    for count in (300, 5_000):
        rows = kimi_tensors(layers=count // 18 + 1)[:count]
        view = TensorsView()
        calls = _count_calls(view, monkey := pytest.MonkeyPatch())
        view.resize(900, 700)
        view.show_tensors(rows)
        view.show()
        qapp.processEvents()
        view.table.scrollToBottom()
        qapp.processEvents()
        asked[count] = len(calls)
        assert view.model.rowCount() == count
        monkey.undo()
        view.close()
        view.deleteLater()
    assert 0 < asked[5_000] <= asked[300] * 1.5, asked


def test_filter_and_order_grow_no_faster_than_the_rows() -> None:
    costs = {}
    for count in (1_000, 8_000):
        view = TensorsView()
        view.show_tensors(kimi_tensors(layers=count // 18 + 1)[:count])
        began = time.process_time()
        for word in ("attn", "blk.1", "exps q2", "norm"):
            view.field.setText(word)
            view.apply()
            view.model.sort(0, Qt.SortOrder.DescendingOrder)
        costs[count] = time.process_time() - began
        view.deleteLater()
    assert costs[8_000] < costs[1_000] * 8 * 3, costs


def _count_calls(view: TensorsView, monkey: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    plain: Callable[..., Any] = type(view.model).data

    def data(self: Any, index: QModelIndex, role: int = 0) -> Any:
        calls.append(index.row())
        return plain(self, index, role)

    monkey.setattr(type(view.model), "data", data)
    return calls


async def test_metadata_is_filtered(page: InspectPage) -> None:
    page.metadata.field.setText("rope yarn")
    page.metadata.apply()
    assert [row.key for row in page.metadata.model.shown] == ["deepseek2.rope.scaling.type"]


# --- the chat template -------------------------------------------------------------------------


async def test_the_template_is_compared_with_another_models(
    page: InspectPage, workstation: FakeClient
) -> None:
    view = page.template
    assert view.text.toPlainText() == TEMPLATE
    workstation.files.templates[QWEN.ref] = TEMPLATE.replace("<|im_user|>", "<|im_start|>")
    view.compare_with(QWEN.ref)
    await until(lambda: view.words.text().startswith("Compared"))
    assert "1 line more (+), 1 line less (−)" in view.words.text()
    lines = view.text.toPlainText().splitlines()
    assert "−     <|im_start|>user<|im_middle|>{{ message.content }}<|im_end|>" in lines
    assert "+     <|im_user|>user<|im_middle|>{{ message.content }}<|im_end|>" in lines
    view.compare_with("")
    assert view.text.toPlainText() == TEMPLATE


async def test_the_original_is_asked_only_when_chosen(
    page: InspectPage, workstation: FakeClient
) -> None:
    page.go_to("template")
    assert workstation.called("files.compare_templates") == []
    page.template.compare_with("base")
    await until(lambda: page.template.words.text() == f"The same as that of {BASE}.")
    workstation.files.fail_next(
        "files.compare_templates", AppError("network_failed", "The hub is away.", "Try later.")
    )
    page.template.compare_with(GEMMA.ref)
    await until(lambda: page.template.problem.isVisible())
    assert "The hub is away." in page.template.problem.text()
    assert page.template.text.toPlainText() == TEMPLATE


async def test_a_model_without_a_template_says_so(
    library: LibraryPage, workstation: FakeClient
) -> None:
    workstation.files.templates[GEMMA.ref] = ""
    library.inspect(GEMMA.ref)
    await until(lambda: library.inspector.tab("template").isEnabled())
    assert "has no chat template" in library.inspector.template.words.text()
    assert not library.inspector.template.other.isEnabled()
