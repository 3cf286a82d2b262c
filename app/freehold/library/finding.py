"""Finding models: the short list, the hub's search and pages, with what fits this machine."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from freehold.errors import AppError
from freehold.gguf.shards import ModelFile
from freehold.library.catalog import CatalogModel, read_catalog
from freehold.library.fit import FitEstimator, recommend
from freehold.library.hub import Hub, RepositoryPage
from freehold.library.hub_token import TokenStore
from freehold.library.remote_header import RemoteModel, read_remote
from freehold.library.variants import Variant
from freehold.units import format_bytes
from freehold.wire import ModelEntry
from freehold.wire_library import (
    CatalogEntry,
    Fit,
    HubAccount,
    HubModel,
    HubPage,
    HubQuery,
    HubVariant,
    VariantFacts,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_LIMIT_S: Final = 15.0
FRESH_S: Final = 300.0
MOST_PAGES: Final = 32
MOST_OUTLOOKS: Final = 256
USUAL: Final = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_XL", "MXFP4", "Q4_K_S", "Q5_K_M", "Q8_0")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A variant to download; alternatives: smaller ones, in words."""

    repository: str
    variant: Variant
    revision: str
    alternatives: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a planner says of a model that is not here yet; speed in tokens a second, estimated."""

    fit: Fit
    decode_tokens_per_s: float | None = None


PlanHeaders = Callable[[ModelFile], Awaitable[Outlook]]


class Finder:
    """Asks the hub in threads and remembers its pages for a few minutes."""

    def __init__(
        self,
        hub: Hub,
        tokens: TokenStore,
        fit: FitEstimator,
        cache: Path,
        entries: Callable[[], Awaitable[tuple[ModelEntry, ...]]],
        free_bytes: Callable[[], int],
        plan: PlanHeaders | None = None,
    ) -> None:
        """Make a finder; plan: asked once the headers are known, sizes alone count without it."""
        self._hub = hub
        self._tokens = tokens
        self._fit = fit
        self._cache = cache
        self._entries = entries
        self._free_bytes = free_bytes
        self._plan = plan
        self._pages: dict[str, tuple[float, RepositoryPage]] = {}
        self._outlooks: dict[tuple[str, str, str], tuple[float, Outlook]] = {}

    async def catalog(self) -> tuple[CatalogEntry, ...]:
        """Return the list that comes with Freehold; needs no network."""
        models = await asyncio.to_thread(read_catalog)
        return await asyncio.to_thread(lambda: tuple(self._entry(model) for model in models))

    async def search(self, query: HubQuery) -> tuple[HubModel, ...]:
        """Return repositories with GGUF files."""
        return tuple(await _in_time(lambda: self._hub.search(query)))

    async def page(self, repository: str) -> HubPage:
        """Return a repository's page."""
        page = await self._page(repository, fresh=True)
        here = {entry.ref: entry for entry in await self._entries()}
        return await asyncio.to_thread(self._show, page, here)

    async def facts(self, repository: str, variant: str) -> VariantFacts:
        """Return what the headers of a variant say, before it is downloaded."""
        page = await self._page(repository)
        chosen = _find(page, variant)
        origin = self._hub.repository(page.model.repository, page.revision)
        found = await asyncio.to_thread(read_remote, origin, chosen, self._cache)
        facts = found.facts
        outlook = await self._look_ahead(chosen, found)
        self._remember(page, chosen, outlook)
        return VariantFacts(
            repository=page.model.repository,
            variant=chosen.name,
            architecture=facts.architecture,
            parameters=facts.parameters,
            active_parameters=facts.active_parameters,
            bits_per_weight=round(facts.bits_per_weight, 3),
            experts=facts.experts,
            experts_used=facts.experts_used,
            layers=facts.layers,
            context_tokens=facts.context_tokens,
            bytes_by_part={str(part): count for part, count in facts.bytes_by_part.items()},
            bytes_by_type=dict(facts.bytes_by_type),
            read_bytes=found.read_bytes,
            fit=outlook.fit,
            decode_tokens_per_s=outlook.decode_tokens_per_s,
        )

    async def choose(self, repository: str, variant: str) -> Chosen:
        """Return the variant of this name; without one, the recommended or a usual one.

        Raises: AppError `not_found` that names what there is.
        """
        page = await self._page(repository, fresh=True)
        chosen = _find(page, variant) if variant else await asyncio.to_thread(self._choose, page)
        smaller = [v for v in page.listing.variants if v.bytes < chosen.bytes][-3:]
        words = ", ".join(f"{v.name} ({format_bytes(v.bytes)})" for v in smaller)
        return Chosen(page.model.repository, chosen, page.revision, words)

    async def account(self) -> HubAccount:
        """Return which token is in force; the account's name where the hub can be asked."""
        token = await asyncio.to_thread(self._tokens.read)
        name = ""
        if token.value and not self._hub.is_offline:
            try:
                name = await asyncio.to_thread(self._hub.who)
            except AppError as error:
                if error.code == "unauthorized":
                    name = ""
        return HubAccount(
            endpoint=self._hub.endpoint,
            kept_in=token.kept_in,
            name=name,
            offline=self._hub.is_offline,
        )

    async def save_token(self, value: str) -> HubAccount:
        """Keep a token, after the hub has said that it knows it; "" forgets the one kept.

        Raises: AppError `unauthorized` (nothing is kept then), `invalid_request`.
        """
        if not value.strip():
            await asyncio.to_thread(self._tokens.forget)
            return await self.account()
        await asyncio.to_thread(self._tokens.save, value)
        try:
            await asyncio.to_thread(self._hub.who)
        except AppError as error:
            if error.code == "unauthorized":
                await asyncio.to_thread(self._tokens.forget)
                raise
        self._pages.clear()
        return await self.account()

    # --- inside ------------------------------------------------------------------------------

    async def _look_ahead(self, variant: Variant, found: RemoteModel) -> Outlook:
        if self._plan is not None:
            try:
                return await self._plan(found.model)
            except AppError as error:
                log.info("no plan for %s: %s", variant.name, error.code)
        return Outlook(await asyncio.to_thread(self._fit, variant.bytes, found.facts))

    def _remember(self, page: RepositoryPage, variant: Variant, outlook: Outlook) -> None:
        while len(self._outlooks) >= MOST_OUTLOOKS:
            self._outlooks.pop(next(iter(self._outlooks)))
        key = (page.model.repository, page.revision, variant.name)
        self._outlooks[key] = (time.monotonic(), outlook)

    def _with_outlook(self, page: RepositoryPage, variant: HubVariant) -> HubVariant:
        """Return a variant with what the planner said of its headers, if that was lately."""
        known = self._outlooks.get((page.model.repository, page.revision, variant.name))
        if known is None or time.monotonic() - known[0] > FRESH_S:
            return variant
        return msgspec.structs.replace(variant, fit=known[1].fit)

    async def _page(self, repository: str, *, fresh: bool = False) -> RepositoryPage:
        name = repository.strip()
        known = self._pages.get(name)
        if known is not None and time.monotonic() - known[0] < (10.0 if fresh else FRESH_S):
            return known[1]
        page = await _in_time(lambda: self._hub.read_page(name))
        while len(self._pages) >= MOST_PAGES:
            self._pages.pop(next(iter(self._pages)))
        self._pages[name] = (time.monotonic(), page)
        return page

    def _show(self, page: RepositoryPage, here: dict[str, ModelEntry]) -> HubPage:
        repository = page.model.repository
        variants = [
            self._with_outlook(page, _variant(v, page.model.parameters, self._fit))
            for v in page.listing.variants
        ]
        best = self._recommended(variants)
        refs = {name: f"{repository}:{name}" for name in (v.name for v in variants)}
        shown = tuple(
            msgspec.structs.replace(
                v,
                recommended=v.name == best,
                ref=refs[v.name] if refs[v.name] in here and here[refs[v.name]].ready else "",
            )
            for v in variants
        )
        return HubPage(
            model=page.model,
            revision=page.revision,
            link=f"{self._hub.endpoint}/{repository}",
            card=page.card,
            private=page.private,
            variants=shown,
            companions=tuple(file.path for file in page.listing.companions[:100]),
            refused=len(page.listing.unsafe),
            free_bytes=self._free_bytes(),
        )

    def _recommended(self, variants: list[HubVariant]) -> str:
        usable = [v for v in variants if not v.missing and v.fit is not None and not _is_raw(v)]
        return recommend([(v.name, v.bytes, v.fit) for v in usable if v.fit is not None])

    def _choose(self, page: RepositoryPage) -> Variant:
        variants = page.listing.variants
        if not variants:
            raise AppError(
                "not_found",
                f"{page.model.repository} has no GGUF files.",
                "Look for a repository whose name ends in -GGUF.",
            )
        best = self._recommended([_variant(v, 0, self._fit) for v in variants])
        for name in (best, *USUAL):
            found = page.listing.find(name) if name else None
            if found is not None:
                return found
        return variants[0]

    def _entry(self, model: CatalogModel) -> CatalogEntry:
        variants = tuple(
            HubVariant(
                name=v.name,
                quant=v.name,
                bytes=v.about_bytes,
                fit=self._fit(v.about_bytes, None),
                bits_per_weight=round(v.about_bytes * 8 / model.parameters, 2),
            )
            for v in model.variants
        )
        return CatalogEntry(
            name=model.name,
            family=model.family,
            repository=model.repository,
            architecture=model.architecture,
            parameters=model.parameters,
            active_parameters=model.active_parameters,
            context_tokens=model.context_tokens,
            experts=model.experts,
            experts_used=model.experts_used,
            licence=model.licence,
            about=model.about,
            source=model.source,
            checked_on=model.checked_on.isoformat() if model.checked_on else "",
            kind=model.kind,
            variants=variants,
        )


async def _in_time(ask: Callable[[], T]) -> T:
    """Return what the hub answers; the client library alone would try for half a minute."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(ask), ANSWER_LIMIT_S)
    except TimeoutError as error:
        raise AppError(
            "network_failed",
            f"The hub did not answer within {ANSWER_LIMIT_S:.0f} s.",
            "Check your network, or try again in a minute.",
            retryable=True,
        ) from error


def _variant(variant: Variant, parameters: int, fit: FitEstimator) -> HubVariant:
    bits = variant.bits_per_weight(parameters)
    return HubVariant(
        name=variant.name,
        quant=variant.quant,
        bytes=variant.bytes,
        files=len(variant.files),
        bits_per_weight=round(bits, 2) if bits is not None else None,
        fit=fit(variant.bytes, None),
        missing=len(variant.missing),
    )


def _is_raw(variant: HubVariant) -> bool:
    """Return whether a variant is unquantised: twice the bytes for no better answers."""
    return re.fullmatch(r"(BF|F)(16|32)", variant.quant.upper()) is not None


def _find(page: RepositoryPage, wanted: str) -> Variant:
    found = page.listing.find(wanted)
    if found is None:
        names = ", ".join(v.name for v in page.listing.variants[:12]) or "none"
        raise AppError(
            "not_found",
            f"{page.model.repository} has no variant {wanted[:80]}.",
            f"It has: {names}.",
        )
    return found
