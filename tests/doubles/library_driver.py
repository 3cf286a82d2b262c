"""What the driven window can be told about finding and downloading models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtTest import QTest

from doubles.waiting import until

if TYPE_CHECKING:
    from freehold.ui.desktop import Desktop
    from freehold.ui.library.library_page import LibraryPage


class LibraryDriver:
    """Commands `find TEXT`, `open REPO`, `fit VARIANT`, `details VARIANT`, `download VARIANT`,
    `downloads`, `press BUTTON`, `limit MB`."""

    desktop: Desktop

    @property
    def _library(self) -> LibraryPage:
        return self.desktop.window.go_to("models")  # type: ignore[return-value]

    async def do_find(self, text: str) -> list[str]:
        page = self._library
        page.tab("find").click()
        QTest.keyClicks(page.finder.field, text)
        await until(lambda: page.finder.field.text() == text)
        await until(
            lambda: [c for c in page.finder.cards() if text.split()[0] in c.repository],
            timeout_s=30,
        )
        return [card.repository for card in page.finder.cards()]

    async def do_open(self, repository: str) -> list[str]:
        page = self._library
        card = next(c for c in page.finder.cards() if c.repository == repository)
        card.open.click()
        await until(lambda: page.finder.view.rows, timeout_s=30)
        return list(page.finder.view.rows)

    async def do_fit(self, variant: str) -> list[str]:
        row = self._library.finder.view.rows[variant]
        return [row.fit.text(), row.fit.toolTip()]

    async def do_details(self, variant: str) -> str:
        row = self._library.finder.view.rows[variant]
        row.inspect.click()
        await until(lambda: "layers" in row.facts.text(), timeout_s=30)
        return row.facts.text()

    async def do_download(self, variant: str) -> bool:
        page = self._library
        page.finder.view.rows[variant].download.click()
        await until(lambda: page.state.rows, timeout_s=30)
        return page.downloads.isVisible()

    async def do_downloads(self, _argument: str) -> list[dict[str, object]]:
        page = self._library
        return [
            {
                "id": row.id,
                "state": row.state,
                "done_bytes": row.done_bytes,
                "total_bytes": row.total_bytes,
                "words": page.downloads.row(row.id).words.text(),
                "chip": page.downloads.row(row.id).state.text(),
                "bar": page.downloads.row(row.id).bar.value(),
                "ref": row.ref,
                "error": row.error.message if row.error else "",
            }
            for row in page.state.rows
        ]

    async def do_press(self, name: str) -> bool:
        page = self._library
        button = getattr(page.downloads.row(page.state.rows[0].id), name)
        await until(button.isVisible, timeout_s=30)
        button.click()
        return True

    async def do_limit(self, mb: str) -> bool:
        self.desktop.settings.change(download_limit_mb_per_s=int(mb))
        await until(lambda: not self.desktop.settings.is_saving)
        return self._library.downloads.limit.currentData() == int(mb)
