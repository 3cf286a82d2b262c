"""The library's part of `FakeClient`: a hub, a queue and a token in memory.

client.shelf.found = (HubModel(...),)
client.shelf.pages["ada/x"] = HubPage(...)
client.shelf.advance(download.id, 300_000_000, bytes_per_s=5e7)
client.shelf.finish(download.id)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from freehold.errors import AppError
from freehold.wire import AnyEvent, Changed, Download, DownloadChanged, ErrorInfo, ModelEntry
from freehold.wire_library import (
    CatalogEntry,
    FileChecksum,
    HubAccount,
    HubModel,
    HubPage,
    HubQuery,
    VariantFacts,
)

if TYPE_CHECKING:
    from doubles.client import FakeClient


class FakeShelf:
    """What the hub has and what is being downloaded; a test moves it on."""

    def __init__(self, push: Callable[[AnyEvent], object], models: dict[str, ModelEntry]) -> None:
        self._push, self._models = push, models
        self._ids = itertools.count(1)
        self.catalog: tuple[CatalogEntry, ...] = ()
        self.found: tuple[HubModel, ...] = ()
        self.pages: dict[str, HubPage] = {}
        self.facts: dict[tuple[str, str], VariantFacts] = {}
        self.account = HubAccount(endpoint="https://huggingface.co")
        self.token = ""
        self.downloads: dict[str, Download] = {}
        self.checksums: dict[str, tuple[FileChecksum, ...]] = {}

    def page(self, repository: str) -> HubPage:
        if "/" not in repository or ".." in repository:
            raise AppError(
                "invalid_request",
                "That is not the name of a repository.",
                "Give it as OWNER/NAME.",
            )
        if repository not in self.pages:
            raise AppError(
                "not_found", f"There is no repository called {repository}.", "Check the name."
            )
        return self.pages[repository]

    def start(self, repository: str, variant: str) -> Download:
        page = self.page(repository)
        named = [v for v in page.variants if v.name == variant or (not variant and v.recommended)]
        if not named:
            raise AppError("not_found", f"There is no variant {variant}.", "Choose another.")
        for known in self.downloads.values():
            if (known.repository, known.variant) == (repository, named[0].name):
                return self.put(known, state="queued", error=None)
        fresh = Download(
            id=f"download-{next(self._ids)}",
            repository=repository,
            variant=named[0].name,
            state="queued",
            total_bytes=named[0].bytes,
            files=named[0].files,
            folder=f"/home/ada/models/{repository}",
        )
        return self.put(fresh)

    def get(self, identifier: str) -> Download:
        if identifier not in self.downloads:
            raise AppError("not_found", "That download is gone.", "Look at the list again.")
        return self.downloads[identifier]

    def put(self, download: Download, **changes: object) -> Download:
        """Change a download and tell it."""
        changed = msgspec.structs.replace(download, **changes)
        self.downloads[changed.id] = changed
        self._push(DownloadChanged(id=changed.id, download=changed))
        return changed

    def advance(self, identifier: str, done_bytes: int, *, bytes_per_s: float = 5e7) -> Download:
        """Let a download come on."""
        download = self.get(identifier)
        left = download.total_bytes - done_bytes
        return self.put(
            download,
            state="running",
            done_bytes=done_bytes,
            bytes_per_s=bytes_per_s,
            eta_s=left / bytes_per_s if bytes_per_s else None,
            file="model.gguf",
        )

    def fail(self, identifier: str, error: AppError) -> Download:
        """Let a download fail."""
        info = msgspec.convert(error.to_dict(), ErrorInfo)
        return self.put(self.get(identifier), state="failed", error=info, bytes_per_s=0.0)

    def finish(self, identifier: str) -> Download:
        """Let a download become a model of the library."""
        download = self.get(identifier)
        ref = f"{download.repository}:{download.variant}"
        self._models[ref] = ModelEntry(
            ref=ref,
            name=download.repository.partition("/")[2].removesuffix("-GGUF"),
            arch="deepseek2",
            bytes=download.total_bytes,
            path=f"{download.folder}/model.gguf",
            origin="downloaded",
            ready=True,
            quant=download.variant,
            shards=download.files,
        )
        self._push(Changed(topic="models", id=ref))
        return self.put(
            download,
            state="done",
            done_bytes=download.total_bytes,
            verified_bytes=download.total_bytes,
            ref=ref,
            bytes_per_s=0.0,
            eta_s=None,
        )


class FakeLibraryCalls:
    """`Client`'s calls of the library over a `FakeShelf`."""

    shelf: FakeShelf

    async def catalog(self: FakeClient) -> tuple[CatalogEntry, ...]:  # type: ignore[misc]
        await self._enter("catalog")
        return self.shelf.catalog

    async def search_hub(self: FakeClient, query: HubQuery) -> tuple[HubModel, ...]:  # type: ignore[misc]
        await self._enter("search_hub", query=query)
        words = query.text.casefold().split()
        return tuple(
            m for m in self.shelf.found if all(word in m.repository.casefold() for word in words)
        )[: query.limit]

    async def hub_page(self: FakeClient, repository: str) -> HubPage:  # type: ignore[misc]
        await self._enter("hub_page", repository=repository)
        return self.shelf.page(repository)

    async def variant_facts(self: FakeClient, repository: str, variant: str) -> VariantFacts:  # type: ignore[misc]
        await self._enter("variant_facts", repository=repository, variant=variant)
        self.shelf.page(repository)
        if (repository, variant) not in self.shelf.facts:
            raise AppError("not_found", f"There is no variant {variant}.", "Choose another.")
        return self.shelf.facts[(repository, variant)]

    async def hub_account(self: FakeClient) -> HubAccount:  # type: ignore[misc]
        await self._enter("hub_account")
        return self.shelf.account

    async def save_hub_token(self: FakeClient, token: str) -> HubAccount:  # type: ignore[misc]
        await self._enter("save_hub_token")
        if token and token != "hf_good":
            raise AppError("unauthorized", "The hub does not know this token.", "Make a new one.")
        self.shelf.token = token
        self.shelf.account = msgspec.structs.replace(
            self.shelf.account,
            kept_in="file" if token else "none",
            name="ada" if token else "",
        )
        return self.shelf.account

    async def downloads(self: FakeClient) -> tuple[Download, ...]:  # type: ignore[misc]
        await self._enter("downloads")
        return tuple(self.shelf.downloads.values())

    async def start_download(self: FakeClient, repository: str, variant: str = "") -> Download:  # type: ignore[misc]
        await self._enter("start_download", repository=repository, variant=variant)
        return self.shelf.start(repository, variant)

    async def pause_download(self: FakeClient, download_id: str) -> Download:  # type: ignore[misc]
        await self._enter("pause_download", download_id=download_id)
        return self.shelf.put(self.shelf.get(download_id), state="paused", bytes_per_s=0.0)

    async def resume_download(self: FakeClient, download_id: str) -> Download:  # type: ignore[misc]
        await self._enter("resume_download", download_id=download_id)
        return self.shelf.put(self.shelf.get(download_id), state="queued", error=None)

    async def move_download(self: FakeClient, download_id: str, place: int) -> None:  # type: ignore[misc]
        await self._enter("move_download", download_id=download_id, place=place)
        moved = self.shelf.get(download_id)
        rest = [d for d in self.shelf.downloads.values() if d.id != download_id]
        rest.insert(place, moved)
        self.shelf.downloads = {d.id: d for d in rest}
        self.push(Changed(topic="downloads"))

    async def cancel_download(self: FakeClient, download_id: str) -> None:  # type: ignore[misc]
        await self._enter("cancel_download", download_id=download_id)
        self.shelf.get(download_id)
        del self.shelf.downloads[download_id]
        self.push(DownloadChanged(id=download_id))

    async def checksums(self: FakeClient, ref: str) -> tuple[FileChecksum, ...]:  # type: ignore[misc]
        await self._enter("checksums", ref=ref)
        self._model(ref)
        return self.shelf.checksums.get(ref, ())
