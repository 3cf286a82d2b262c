"""Which models the search of documents uses: embedders and rerankers, as chosen or by default."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from freehold.documents.limits import (
    MAX_COLLECTION_FILES,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_PAGES,
)
from freehold.documents.recognition import Tesseract, install_hint
from freehold.errors import AppError
from freehold.gguf.header import read_header
from freehold.gguf.source import open_file
from freehold.storage.connection import Database
from freehold.wire import ModelEntry
from freehold.wire_documents import DocumentAbilities

Role = Literal["embedder", "reranker"]
RANK_POOLING: Final = 4  # llama.cpp's LLAMA_POOLING_TYPE_RANK
NO_VISION: Final = "No vision model: this version's engine reads text alone."


class Shelf(Protocol):
    """The models of this machine."""

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model, ready or not."""
        ...


class DocumentModels:
    """Embedders and rerankers for documents."""

    def __init__(self, database: Database, models: Shelf, tesseract: Tesseract) -> None:
        self._database = database
        self._models = models
        self._tesseract = tesseract
        self._ranks: dict[tuple[str, int], bool] = {}

    async def embedder(self) -> str | None:
        """Return the embedding model in use: the chosen one, the bundled one, or any."""
        embedders, _ = await self._installed()
        return _chosen(await self._stored("embedder"), embedders) or _first(embedders)

    async def reranker(self) -> str | None:
        """Return the reranker in use; only a chosen one is."""
        _, rerankers = await self._installed()
        return _chosen(await self._stored("reranker"), rerankers)

    async def abilities(self) -> DocumentAbilities:
        """Return what can be done with documents on this machine."""
        embedders, rerankers = await self._installed()
        languages = await asyncio.to_thread(lambda: self._tesseract.languages)
        return DocumentAbilities(
            ocr=languages,
            ocr_hint="" if languages else install_hint(),
            vision=NO_VISION,
            embedder=_chosen(await self._stored("embedder"), embedders) or _first(embedders) or "",
            embedders=embedders,
            reranker=_chosen(await self._stored("reranker"), rerankers) or "",
            rerankers=rerankers,
            max_files=MAX_FILES,
            max_file_bytes=MAX_FILE_BYTES,
            max_pages=MAX_PAGES,
            max_collection_files=MAX_COLLECTION_FILES,
        )

    async def choose(self, role: Role, ref: str) -> DocumentAbilities:
        """Use another installed model; "" is the default.

        Raises: AppError `model_not_found`.
        """
        embedders, rerankers = await self._installed()
        if ref and ref not in (embedders if role == "embedder" else rerankers):
            what = "an embedding model" if role == "embedder" else "a reranking model"
            raise AppError(
                "model_not_found",
                f"{ref[:200]} is not {what} that is ready here.",
                "Download one on the Library page, then choose it.",
                detail={"ref": ref[:200]},
            )

        def store(connection: Any) -> None:
            connection.execute(
                "INSERT INTO document_model (role, ref) VALUES (?1, ?2)"
                " ON CONFLICT (role) DO UPDATE SET ref = ?2",
                (role, ref),
            )

        await self._database.write(store)
        return await self.abilities()

    async def _installed(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the embedders, the bundled one first, and the rerankers."""
        ready = [e for e in await self._models.entries() if e.ready and e.kind == "embedding"]
        ready.sort(key=lambda entry: (entry.origin != "bundled", entry.ref))
        ranks = [await self._does_rank(entry) for entry in ready]
        return (
            tuple(entry.ref for entry, rank in zip(ready, ranks, strict=True) if not rank),
            tuple(entry.ref for entry, rank in zip(ready, ranks, strict=True) if rank),
        )

    async def _does_rank(self, entry: ModelEntry) -> bool:
        key = (entry.path, entry.bytes)
        if key not in self._ranks:
            self._ranks[key] = await asyncio.to_thread(does_rank, Path(entry.path))
        return self._ranks[key]

    async def _stored(self, role: Role) -> str:
        def read(connection: Any) -> str:
            row = connection.execute(
                "SELECT ref FROM document_model WHERE role = ?", (role,)
            ).fetchone()
            return str(row[0]) if row is not None else ""

        return await self._database.read(read)


def does_rank(path: Path) -> bool:
    """Return whether a model's header says that it ranks pairs of texts. Blocks."""
    try:
        with open_file(path) as source:
            header = read_header(source)
    except (AppError, OSError):
        return False
    architecture = header.text("general.architecture") or ""
    return header.whole(f"{architecture}.pooling_type") == RANK_POOLING


def _chosen(ref: str, installed: tuple[str, ...]) -> str | None:
    return ref if ref in installed else None


def _first(installed: tuple[str, ...]) -> str | None:
    return installed[0] if installed else None
