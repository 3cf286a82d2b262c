"""The models' part of `FakeClient`: importing, removing, loading and unloading in memory."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from doubles.client_replies import error_info
from freehold.errors import AppError
from freehold.wire import Changed, EngineChanged, EngineState, LoadRequest, ModelEntry

if TYPE_CHECKING:
    from doubles.client import FakeClient


class FakeModelCalls:
    """`Client`'s calls of models, and engines that load in steps."""

    async def import_model(self: FakeClient, path: str) -> ModelEntry:
        await self._enter("import_model", path=path)
        found = self.importable.get(path)
        if isinstance(found, AppError):
            raise found
        name = PurePosixPath(path).name
        if found is None and not name.endswith(".gguf"):
            raise AppError(
                "invalid_model",
                f"{name} is not a GGUF file.",
                "Choose a model file whose name ends in .gguf.",
                detail={"path": path},
            )
        entry = found or ModelEntry(
            ref=name.removesuffix(".gguf"),
            name=name.removesuffix(".gguf"),
            arch="llama",
            bytes=4_680_000_000,
            path=path,
            origin="imported",
            ready=True,
            quant="Q4_K_M",
            context_tokens=131_072,
        )
        self.models[entry.ref] = entry
        self.push(Changed(topic="models", id=entry.ref))
        return entry

    async def remove_model(self: FakeClient, ref: str, *, delete_files: bool = False) -> int:
        await self._enter("remove_model", ref=ref, delete_files=delete_files)
        entry = self._model(ref)
        self._end_engine(ref)
        del self.models[ref]
        self.push(Changed(topic="models", id=ref))
        return entry.bytes if delete_files else 0

    async def load_model(self: FakeClient, ref: str, request: LoadRequest | None = None) -> None:
        await self._enter("load_model", ref=ref, request=request)
        entry = self._model(ref)
        if entry.problem is not None:
            raise AppError.from_dict(msgspec.structs.asdict(entry.problem))
        engine = self.engines.get(ref)
        if engine is None or engine.phase == "failed":
            self._set_engine(EngineState(ref=ref, phase="loading"))
            self._loads[ref] = asyncio.ensure_future(self._load(entry, request))

    async def unload_model(self: FakeClient, ref: str) -> None:
        await self._enter("unload_model", ref=ref)
        self._model(ref)
        self._end_engine(ref)

    def _model(self: FakeClient, ref: str) -> ModelEntry:
        if ref not in self.models:
            raise AppError(
                "model_not_found",
                f"No model is called {ref or 'that'}.",
                "Choose one of the models on this machine, or import its GGUF file.",
                detail={"ref": ref},
            )
        return self.models[ref]

    def _set_engine(self: FakeClient, engine: EngineState) -> None:
        self.engines[engine.ref] = engine
        self.push(EngineChanged(ref=engine.ref, engine=engine))

    def _end_engine(self: FakeClient, ref: str) -> None:
        load = self._loads.pop(ref, None)
        if load is not None:
            load.cancel()
        engine = self.engines.pop(ref, None)
        if engine is not None:
            self.push(
                EngineChanged(ref=ref, engine=msgspec.structs.replace(engine, phase="unloading"))
            )
            self.push(EngineChanged(ref=ref, engine=None))

    async def _load(self: FakeClient, entry: ModelEntry, request: LoadRequest | None) -> None:
        for fraction in self.load_steps:
            await asyncio.sleep(0)
            self._set_engine(EngineState(ref=entry.ref, phase="loading", fraction=fraction))
        if self.hold_loads:
            await self._loads_released.wait()
        error = self._load_failures.pop(entry.ref, None)
        if error is not None:
            self._set_engine(EngineState(ref=entry.ref, phase="failed", error=error_info(error)))
            return
        wanted = request.context_tokens if request else None
        self._set_engine(
            EngineState(
                ref=entry.ref,
                phase="ready",
                fraction=1.0,
                pid=4300,
                backend="CPU",
                devices=("CPU",),
                context_tokens=wanted or 8192,
                trained_context_tokens=entry.context_tokens,
                parallel=4,
                resident_bytes=entry.bytes,
                supports_tools=True,
                supports_thinking=True,
            )
        )
