"""Which model answers a request: the one asked for, the default, or the only one there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from freehold.errors import AppError
from freehold.machine.plan.question import DEFAULT_CONTEXT_TOKENS
from freehold.server.engines import EngineSupervisor
from freehold.wire import ModelEntry

Kind = Literal["chat", "embedding"]


class Models(Protocol):
    """The models of this machine, as the routes use them."""

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model, ready or not."""
        ...

    async def resolve(self, ref: str) -> ModelEntry:
        """Return the model a ref or path names; raises `model_not_found`, or its problem."""
        ...

    async def find(self, ref: str) -> ModelEntry:
        """Return the model a ref or path names, usable or not; raises `model_not_found`."""
        ...

    async def import_file(
        self,
        path: str | Path,
        *,
        ref: str | None = None,
        origin: str = "imported",
        owned: bool = False,
    ) -> ModelEntry:
        """Add a GGUF file where it lies; owned: Freehold put it there and may delete it."""
        ...

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model; return the bytes freed."""
        ...


class ModelChoice:
    """Turns what a request says about the model into the ref of one that can do it."""

    def __init__(
        self,
        models: Models,
        engines: EngineSupervisor,
        default_ref: Callable[[], str],
    ) -> None:
        self._models = models
        self._engines = engines
        self._default_ref = default_ref

    async def default(self) -> str:
        """Return the model that answers where none is named."""
        return await self.chat(None)

    async def chat(self, asked: str | None) -> str:
        """Return the ref of the model that answers.

        Raises: AppError `model_not_found`, `invalid_request`, or what is wrong with its files.
        """
        entry = await self._find(asked, "chat")
        if entry.kind == "embedding":
            raise AppError(
                "invalid_request",
                f"{entry.ref} is an embedding model and cannot answer.",
                "Choose a chat model; this one turns text into numbers (`/v1/embeddings`).",
                detail={"param": "model"},
            )
        return entry.ref

    async def embedding(self, asked: str | None) -> str:
        """Return the ref of the model that makes vectors."""
        return (await self._find(asked, "embedding")).ref

    async def context_of(self, asked: str | None) -> tuple[str, int, bool]:
        """Return the model that answers, its context in tokens, and whether it is loaded.

        While it is not, the context is what it would be loaded with. ("", 0, False): no model.
        """
        try:
            ref = await self.chat(asked)
        except AppError:
            return "", DEFAULT_CONTEXT_TOKENS, False
        for state in self._engines.states():
            if state.ref == ref and state.phase == "ready":
                return ref, state.context_tokens, True
        trained = (await self._models.resolve(ref)).context_tokens
        return ref, min(trained or DEFAULT_CONTEXT_TOKENS, DEFAULT_CONTEXT_TOKENS), False

    async def _find(self, asked: str | None, kind: Kind) -> ModelEntry:
        default = self._default_ref() if kind == "chat" else ""
        entry = await self._models.resolve(asked or default or await self._only(kind))
        if entry.problem is not None:
            raise AppError.from_dict(msgspec.to_builtins(entry.problem))
        return entry

    async def _only(self, kind: Kind) -> str:
        """Return the one model of a kind that is loaded, or the one there is.

        A bundled one counts only where the person has none of the kind.
        """
        entries = [e for e in await self._models.entries() if e.ready and e.kind == kind]
        own = [e for e in entries if e.origin != "bundled"]
        ready = [e.ref for e in own or entries]
        active = {s.ref for s in self._engines.states() if s.phase in ("ready", "loading")}
        for refs in ([ref for ref in ready if ref in active], ready):
            if len(refs) == 1:
                return refs[0]
        raise AppError(
            "invalid_request",
            "No model is named and there is no default.",
            "Choose one from the list of models (`freehold models`, `GET /v1/models`).",
            detail={"param": "model"},
        )
