"""Quantising in the window: the plan, what is refused, and the progress below the list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from doubles.client import FakeClient
from doubles.scenes import GEMMA, KIMI
from doubles.waiting import until
from freehold.errors import AppError
from freehold.ui.library.library_page import LibraryPage
from freehold.ui.library.making_panel import making_words
from freehold.ui.library.quantise_dialog import QuantiseDialog
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.wire_files import Making


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


def opened(library: LibraryPage, ref: str) -> QuantiseDialog:
    library.card(ref).quantise_action.trigger()
    return library.findChildren(QuantiseDialog)[-1]


async def test_the_plan_is_shown_before_anything_begins(
    library: LibraryPage, workstation: FakeClient
) -> None:
    dialog = opened(library, KIMI.ref)
    assert not dialog.begin.isEnabled()
    await until(dialog.begin.isEnabled)
    assert dialog.plan.text() == "381 GB become 95.2 GB: 75% smaller, 4.50 bits per weight"
    assert "812 GB are free" in dialog.details.text()
    dialog.experts.setCurrentIndex(dialog.experts.findData("Q2_K"))
    dialog.experts.activated.emit(0)
    assert not dialog.begin.isEnabled(), "a plan that is no longer the one chosen"
    await until(dialog.begin.isEnabled)
    assert workstation.called("files.plan_quantise")[-1]["request"].experts == "Q2_K"  # type: ignore[attr-defined]
    assert workstation.called("files.quantise") == []
    dialog.reject()


async def test_a_dense_model_has_no_experts_to_choose(library: LibraryPage) -> None:
    dialog = opened(library, GEMMA.ref)
    assert not dialog.experts.isVisible()
    assert dialog.request.experts == ""
    dialog.reject()


async def test_what_is_begun_is_followed_below_the_list(
    library: LibraryPage, workstation: FakeClient
) -> None:
    said: list[str] = []
    library.said.connect(said.append)
    assert not library.making_panel.isVisible()
    dialog = opened(library, KIMI.ref)
    await until(dialog.begin.isEnabled)
    dialog.begin.click()
    await until(library.making_panel.isVisible)
    job = next(iter(workstation.files.jobs.values()))
    row = library.making_panel.row(job.id)
    workstation.files.put(
        job, done_bytes=job.total_bytes // 2, eta_s=120.0, step="blk.3.attn_q.weight to q4_K"
    )
    await until(lambda: row.bar.value() == 500)
    assert "47.6 GB of 95.2 GB  ·  about 2 min left" in row.words.text()
    workstation.files.put(job, state="done", ref="made:Q4_K_M")
    await until(lambda: said)
    assert said == ["Kimi-K2-Instruct-Q4_K_M is ready."]
    assert row.chip.text() == "Ready"
    row.cancel.click()
    await until(lambda: not library.making_panel.isVisible())


async def test_a_job_is_cancelled(library: LibraryPage, workstation: FakeClient) -> None:
    dialog = opened(library, KIMI.ref)
    await until(dialog.begin.isEnabled)
    dialog.begin.click()
    await until(library.making_panel.isVisible)
    job = next(iter(workstation.files.jobs.values()))
    row = library.making_panel.row(job.id)
    assert row.cancel.accessibleName() == f"Cancel {job.name}"
    row.cancel.click()
    await until(lambda: row.chip.text() == "Cancelled")


async def test_problems_keep_the_button_off(library: LibraryPage, workstation: FakeClient) -> None:
    workstation.files.plan_problem = "The disk has 1.00 GB free; 95.2 GB are needed."
    dialog = opened(library, KIMI.ref)
    await until(dialog.problem.isVisible)
    assert not dialog.begin.isEnabled()
    assert "95.2 GB are needed" in dialog.problem.text()
    workstation.files.plan_problem = ""
    again = AppError(
        "conflict", "It is quantised already (Q4_K).", "Begin with F16.", detail={"types": ["Q4_K"]}
    )
    workstation.files.fail_next("files.plan_quantise", again)
    dialog.work_out()
    await until(dialog.again.isVisible)
    assert "quantised already" in dialog.problem.text()
    dialog.again.click()
    await until(dialog.begin.isEnabled)
    assert workstation.called("files.plan_quantise")[-1]["request"].again  # type: ignore[attr-defined]
    assert not dialog.problem.isVisible()
    dialog.reject()


async def test_a_checkpoint_is_converted_or_the_lines_to_type_are_shown(
    library: LibraryPage, workstation: FakeClient
) -> None:
    needs = AppError(
        "not_supported",
        "Converting needs PyTorch in an environment of its own; Freehold itself does not.",
        "Make it once, then try again:  python3 -m venv /c && /c/bin/pip install 'torch==2.11.0'",
    )
    workstation.files.fail_next("files.convert", needs)
    library.here.convert("/models/checkpoint")
    await until(lambda: library.here.problems.keys)
    assert "/models/checkpoint" in library.here.problems.keys
    library.here.convert("/models/checkpoint")
    await until(library.making_panel.isVisible)
    assert library.here.problems.keys == ()
    assert workstation.files.jobs["making-1"].kind == "convert"


def test_words_of_a_job() -> None:
    job = Making(id="1", kind="convert", name="x", source="/c", state="running", total_bytes=2000)
    assert making_words(job) == "0 B of 2.00 kB"
