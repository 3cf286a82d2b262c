"""The library's part of `HttpClient`: the hub, downloads and the hub's token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import httpx

from freehold.wire import Download
from freehold.wire_library import (
    CatalogEntry,
    FileChecksum,
    HubAccount,
    HubModel,
    HubPage,
    HubQuery,
    VariantFacts,
)

T = TypeVar("T")


class LibraryCalls:
    """Calls under `/library`; `HttpClient` brings the line they go over."""

    async def catalog(self) -> tuple[CatalogEntry, ...]:
        """Return the list of models that comes with Freehold; needs no network."""
        return await self._get("/library/catalog", tuple[CatalogEntry, ...])

    async def search_hub(self, query: HubQuery) -> tuple[HubModel, ...]:
        """Return repositories of the hub that have GGUF files."""
        return await self._post("/library/search", tuple[HubModel, ...], query, repeat=True)

    async def hub_page(self, repository: str) -> HubPage:
        """Return a repository's card, conditions and variants."""
        body = {"repository": repository}
        return await self._post("/library/page", HubPage, body, repeat=True)

    async def variant_facts(self, repository: str, variant: str) -> VariantFacts:
        """Return what a variant's headers say; they are read from the hub."""
        body = {"repository": repository, "variant": variant}
        return await self._post("/library/facts", VariantFacts, body, repeat=True)

    async def hub_account(self) -> HubAccount:
        """Return whose token the hub sees, and where it is kept."""
        return await self._get("/library/account", HubAccount)

    async def save_hub_token(self, token: str) -> HubAccount:
        """Keep a token once the hub knows it; "" forgets the one that is kept."""
        response = await self._call("PUT", "/library/account", {"token": token}, repeat=True)
        return self._value(response, HubAccount)

    async def downloads(self) -> tuple[Download, ...]:
        """Return the downloads in the order of the queue."""
        return await self._get("/library/downloads", tuple[Download, ...])

    async def start_download(self, repository: str, variant: str = "") -> Download:
        """Put a variant into the queue ("": the recommended one); one that rests goes on."""
        body = {"repository": repository, "variant": variant}
        return await self._post("/library/downloads", Download, body, repeat=True)

    async def pause_download(self, download_id: str) -> Download:
        """Stop a download; what arrived is kept."""
        path = f"/library/downloads/{path_part(download_id)}/pause"
        return await self._post(path, Download, repeat=True)

    async def resume_download(self, download_id: str) -> Download:
        """Go on with a download that was paused or failed."""
        path = f"/library/downloads/{path_part(download_id)}/resume"
        return await self._post(path, Download, repeat=True)

    async def move_download(self, download_id: str, place: int) -> None:
        """Put a download at a place of the queue, 0 is first."""
        path = f"/library/downloads/{path_part(download_id)}/move"
        await self._call("POST", path, {"place": place}, repeat=True)

    async def cancel_download(self, download_id: str) -> None:
        """Take a download off the list; what came of an unfinished one is deleted."""
        await self._call("DELETE", f"/library/downloads/{path_part(download_id)}")

    async def checksums(self, ref: str) -> tuple[FileChecksum, ...]:
        """Return the hub's checksums of a downloaded model's files; none for another's."""
        body = {"ref": ref}
        return await self._post("/library/checksums", tuple[FileChecksum, ...], body, repeat=True)

    # --- the line, of `HttpClient` -----------------------------------------------------------

    async def _get(self, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        raise NotImplementedError

    async def _post(
        self, path: str, kind: type[T], body: object = None, *, repeat: bool = False
    ) -> T:
        raise NotImplementedError

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        repeat: bool = False,
    ) -> httpx.Response:
        raise NotImplementedError

    def _value(self, response: httpx.Response, kind: type[T]) -> T:
        raise NotImplementedError


def path_part(identifier: str) -> str:
    """Return an id as one part of a path."""
    return quote(identifier, safe="") or "-"
