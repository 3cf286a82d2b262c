"""Finding models and following their downloads: what the pages show and what they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PySide6.QtWidgets import QAbstractButton, QLabel

from doubles.client import FakeClient
from doubles.library_scenes import KIMI_REPO, download_some, stock_hub
from doubles.waiting import until
from freehold.errors import AppError
from freehold.library.hub_errors import offline, refused_access
from freehold.ui.library.library_page import FIND, LibraryPage
from freehold.ui.library.token_dialog import TokenDialog
from freehold.ui.library.words import download_words
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Question
from freehold.wire import Download


@pytest_asyncio.fixture
async def page(
    session: Session, workstation: FakeClient, theme: Theme
) -> AsyncIterator[LibraryPage]:
    stock_hub(workstation)
    page = LibraryPage(
        session, ModelsState(session, session), SettingsState(session, session), theme
    )
    page.resize(1000, 900)
    page.show()
    page.tab(FIND).click()
    await until(lambda: len(page.finder.cards()) > 5)
    yield page
    page.close()
    page.deleteLater()


async def open_kimi(page: LibraryPage) -> None:
    page.finder.open_repository(KIMI_REPO)
    await until(lambda: page.finder.view.rows)


def texts(page: LibraryPage) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


async def test_the_short_list_comes_first_with_its_fit(page: LibraryPage) -> None:
    names = [card.repository for card in page.finder.cards()]
    assert names[0] == "unsloth/Kimi-K2-Instruct-GGUF"
    assert names.count(KIMI_REPO) == 1, "what is on the short list is not listed twice"
    assert "GPU + memory" in texts(page)


async def test_typing_searches_once_the_person_pauses(
    page: LibraryPage, workstation: FakeClient
) -> None:
    before = len(workstation.called("search_hub"))
    for length in range(1, 8):
        page.finder.field.setText("mistral"[:length])
    await until(lambda: len(workstation.called("search_hub")) > before)
    await until(lambda: [c.repository for c in page.finder.cards()] == [
        "bartowski/Mistral-Small-3.2-24B-GGUF"
    ])  # fmt: skip
    assert len(workstation.called("search_hub")) == before + 1


async def test_filters_are_part_of_the_question(page: LibraryPage, workstation: FakeClient) -> None:
    page.finder.sort.setCurrentIndex(1)
    page.finder.licence.setCurrentIndex(2)
    page.finder.search()
    await until(lambda: workstation.called("search_hub")[-1]["query"].sort == "downloads")  # type: ignore[attr-defined]
    assert workstation.called("search_hub")[-1]["query"].licence == "mit"  # type: ignore[attr-defined]


async def test_author_and_architecture_narrow_both_lists(
    page: LibraryPage, workstation: FakeClient
) -> None:
    page.finder.architecture.setText("DeepSeek2")
    page.finder.author.setText("unsloth")
    page.finder.search()
    await until(lambda: workstation.called("search_hub")[-1]["query"].author == "unsloth")  # type: ignore[attr-defined]
    query = workstation.called("search_hub")[-1]["query"]
    assert query.architecture == "DeepSeek2"  # type: ignore[attr-defined]
    await until(lambda: page.finder.status.text() != "Searching the hub…")
    shown = [card.repository for card in page.finder.cards()]
    listed = {entry.repository: entry.architecture for entry in workstation.shelf.catalog}
    assert any(repository in listed for repository in shown)
    assert all(listed.get(name, "deepseek2") == "deepseek2" for name in shown)
    assert all(name.startswith("unsloth/") for name in shown if name in listed)


async def test_the_fit_of_the_recommended_variant_becomes_exact(
    page: LibraryPage, workstation: FakeClient
) -> None:
    await open_kimi(page)
    row = page.finder.view.rows["UD-Q2_K_XL"]
    await until(lambda: workstation.called("variant_facts"))
    assert [call["variant"] for call in workstation.called("variant_facts")] == ["UD-Q2_K_XL"]
    await until(lambda: "(calculated)" in row.fit.toolTip() or "(estimated)" in row.fit.toolTip())
    assert not row.facts.isVisible(), "only the badge and its reason change"


async def test_without_a_network_the_short_list_stays_and_the_reason_is_said(
    page: LibraryPage, workstation: FakeClient
) -> None:
    workstation.fail_next("search_hub", offline())
    page.finder.search()
    await until(lambda: page.finder.problem.isVisible())
    assert "offline mode" in page.finder.problem.text()
    assert len(page.finder.cards()) > 5


async def test_a_page_shows_variants_their_fit_and_the_card(page: LibraryPage) -> None:
    await open_kimi(page)
    rows = page.finder.view.rows
    assert list(rows) == ["UD-TQ1_0", "UD-Q2_K_XL", "UD-Q4_K_XL", "Q8_0"]
    await until(rows["UD-Q2_K_XL"].best.isVisible)
    assert not rows["UD-Q4_K_XL"].best.isVisible()
    assert rows["Q8_0"].fit.text() == "Needs the disk"
    assert "Too large for the disk" in rows["Q8_0"].reason.text()
    assert "13 files" in rows["UD-Q4_K_XL"].words.text()


async def test_details_are_read_from_the_headers(page: LibraryPage) -> None:
    await open_kimi(page)
    row = page.finder.view.rows["UD-Q2_K_XL"]
    row.inspect.click()
    await until(lambda: "8 of 384 experts" in row.facts.text())
    assert "experts 338 GB" in row.facts.text()
    assert "attention and the rest" in row.reason.text()
    other = page.finder.view.rows["Q8_0"]
    other.inspect.click()
    await until(lambda: "no variant" in other.facts.text())
    assert other.inspect.isEnabled()


async def test_a_download_is_followed_to_the_end(
    page: LibraryPage, workstation: FakeClient
) -> None:
    said: list[str] = []
    chats: list[str] = []
    page.said.connect(said.append)
    page.chat_requested.connect(chats.append)
    assert not page.downloads.isVisible()
    await open_kimi(page)
    variant = page.finder.view.rows["UD-Q2_K_XL"]
    variant.download.click()
    await until(lambda: page.state.rows)
    assert page.downloads.isVisible()
    (download,) = page.state.rows
    row = page.downloads.row(download.id)
    assert row.state.text() == "In the queue"
    workstation.shelf.advance(download.id, 90_000_000_000, bytes_per_s=50_000_000)
    await until(lambda: row.state.text() == "Downloading")
    assert row.words.text().startswith("90.0 GB of 360 GB  ·  50.0 MB/s  ·  1 h 30 min left")
    assert row.bar.value() == 250
    assert variant.download.text() == "25%"
    assert not variant.download.isEnabled()
    row.pause.click()
    await until(lambda: row.state.text() == "Paused")
    assert row.resume.isVisible()
    assert not row.pause.isVisible()
    row.resume.click()
    await until(lambda: row.state.text() == "In the queue")
    workstation.shelf.finish(download.id)
    await until(lambda: row.state.text() == "Ready")
    assert said == ["Kimi-K2-Thinking-GGUF UD-Q2_K_XL is ready."]
    assert variant.chat.isVisible()
    row.chat.click()
    assert chats == [f"{KIMI_REPO}:UD-Q2_K_XL"]
    row.load.click()
    await until(lambda: workstation.called("load_model"))
    assert page.here.isVisible()
    row.cancel.click()
    await until(lambda: not page.state.rows)
    assert not page.downloads.isVisible()


async def test_cancelling_asks_before_anything_is_deleted(
    page: LibraryPage, workstation: FakeClient
) -> None:
    first, second = download_some(workstation)
    await until(lambda: len(page.state.rows) == 2)
    page.downloads.row(first.id).cancel.click()
    await until(lambda: page.findChildren(Question))
    page.findChildren(Question)[0].choose("keep")
    await until(lambda: not page.findChildren(Question))
    assert workstation.called("cancel_download") == []
    page.downloads.row(first.id).cancel.click()
    await until(lambda: page.findChildren(Question))
    page.findChildren(Question)[0].choose("cancel")
    await until(lambda: [d.id for d in page.state.rows] == [second.id])


async def test_a_download_can_be_put_first(page: LibraryPage, workstation: FakeClient) -> None:
    first, second = download_some(workstation)
    await until(lambda: len(page.state.rows) == 2)
    assert not page.downloads.row(first.id).first.isVisible()
    page.downloads.row(second.id).first.click()
    await until(lambda: [d.id for d in page.state.rows] == [second.id, first.id])


@pytest.mark.parametrize(
    ("status", "text", "has_token", "token_button", "link_button"),
    [
        (401, "", False, True, True),
        (403, "restricted", True, False, True),
        (403, "Your request has been rejected", True, True, True),
    ],
)
async def test_each_way_of_no_access_has_its_button(
    page: LibraryPage,
    workstation: FakeClient,
    status: int,
    text: str,
    has_token: bool,
    token_button: bool,
    link_button: bool,
) -> None:
    first, _ = download_some(workstation)
    workstation.shelf.fail(
        first.id, refused_access(KIMI_REPO, status, "GatedRepo", text, has_token=has_token)
    )
    await until(lambda: len(page.state.rows) == 2)
    row = page.downloads.row(first.id)
    await until(row.problem.isVisible)
    assert row.token.isVisible() == token_button
    assert row.link.isVisible() == link_button
    assert row.resume.text() == "Try again"


async def test_the_token_is_given_checked_and_the_download_goes_on(
    page: LibraryPage, workstation: FakeClient
) -> None:
    first, _ = download_some(workstation)
    workstation.shelf.fail(first.id, refused_access(KIMI_REPO, 401, "", "", has_token=False))
    await until(lambda: len(page.state.rows) == 2)
    row = page.downloads.row(first.id)
    await until(row.token.isVisible)
    row.token.click()
    await until(lambda: page.findChildren(TokenDialog))
    dialog = page.findChildren(TokenDialog)[0]
    dialog.save.click()
    await until(lambda: "No token was given" in dialog.problem.text())
    dialog.field.setText("hf_wrong")
    dialog.save.click()
    await until(lambda: "does not know" in dialog.problem.text())
    dialog.field.setText("hf_good")
    dialog.save.click()
    await until(lambda: row.state.text() == "In the queue")
    assert workstation.shelf.token == "hf_good"
    assert all("hf_good" not in str(call.arguments) for call in workstation.calls)


async def test_a_full_disk_says_what_to_do_on_the_page(
    page: LibraryPage, workstation: FakeClient
) -> None:
    await open_kimi(page)
    workstation.fail_next(
        "start_download",
        AppError("disk_full", "There is not enough room.", "Choose UD-TQ1_0 (245 GB)."),
    )
    page.finder.view.rows["UD-Q4_K_XL"].download.click()
    await until(page.finder.view.problem.isVisible)
    assert "UD-TQ1_0 (245 GB)" in page.finder.view.problem.text()
    assert page.finder.view.rows, "the page stays"


async def test_a_page_that_cannot_be_read_offers_another_try(
    page: LibraryPage, workstation: FakeClient
) -> None:
    workstation.fail_next("hub_page", AppError("network_failed", "No line.", "Try again."))
    page.finder.open_repository(KIMI_REPO)
    await until(page.finder.view.again.isVisible)
    page.finder.view.again.click()
    await until(lambda: page.finder.view.rows)
    page.finder.view.back.click()
    assert page.finder.list.isVisible()


async def test_the_speed_limit_is_a_setting(page: LibraryPage, workstation: FakeClient) -> None:
    download_some(workstation)
    await until(lambda: page.state.rows)
    page.downloads.limit.setCurrentIndex(page.downloads.limit.findData(25))
    page.downloads.limit.activated.emit(page.downloads.limit.currentIndex())
    await until(lambda: workstation.stored_settings.download_limit_mb_per_s == 25)


async def test_every_control_has_a_name(page: LibraryPage, workstation: FakeClient) -> None:
    download_some(workstation)
    await open_kimi(page)
    await until(lambda: page.state.rows)
    nameless = [
        button
        for button in page.findChildren(QAbstractButton)
        if button.isVisible() and not (button.accessibleName() or button.text())
    ]
    assert [b for b in nameless if "LineEdit" not in type(b.parent()).__name__] == []


def test_words_of_progress() -> None:
    download = Download(
        id="a", repository="b/c", variant="d", state="running", total_bytes=594_000_000_000,
        bytes_per_s=50e6, eta_s=11_400.0,
    )  # fmt: skip
    words = download_words(download, now_s=1_760_000_000.0)
    assert words.startswith("0 B of 594 GB  ·  50.0 MB/s  ·  3 h 10 min left  ·  done about")


async def test_own_folders_are_added_and_taken_off(
    page: LibraryPage, workstation: FakeClient
) -> None:
    page.tab("here").click()
    page.folders_button.click()
    dialog = page.folders
    await until(dialog.isVisible)
    assert "No folder of your own yet." in texts(page)
    dialog.add_path("/mnt/models/")
    dialog.add_path("/mnt/models")
    dialog.add_path("  ")
    await until(lambda: workstation.stored_settings.model_folders == ("/mnt/models",))
    names = [b.accessibleName() for b in dialog.findChildren(QAbstractButton) if b.isVisible()]
    assert "Take /mnt/models off the list" in names
    dialog.remove_path("/mnt/models")
    await until(lambda: workstation.stored_settings.model_folders == ())
    dialog.accept()


async def test_the_token_can_be_looked_at_and_removed(
    page: LibraryPage, workstation: FakeClient
) -> None:
    said: list[str] = []
    page.said.connect(said.append)
    page.finder.token.click()
    await until(lambda: page.findChildren(TokenDialog))
    dialog = page.findChildren(TokenDialog)[0]
    assert dialog.kept.text() == "No token is kept."
    assert not dialog.remove.isVisible()
    dialog.field.setText("hf_good")
    dialog.save.click()
    await until(lambda: said)
    assert said == [
        "The hub knows you as ada. There is no key ring here: it is kept in a file that only you"
        " can read."
    ]
    await until(lambda: not page.findChildren(TokenDialog))
    page.finder.token.click()
    await until(lambda: page.findChildren(TokenDialog))
    dialog = page.findChildren(TokenDialog)[0]
    assert dialog.remove.isVisible()
    dialog.remove.click()
    await until(lambda: workstation.shelf.token == "")
    await until(lambda: said[-1] == "No token is kept.")
