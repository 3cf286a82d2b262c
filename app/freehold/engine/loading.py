"""Puts a loaded model together: weights, context, threads, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from freehold.engine.chat_values import TemplateAbilities
from freehold.engine.decode_loop import DecodeLoop
from freehold.engine.emitter import Emitter
from freehold.engine.llama import NativeModel
from freehold.engine.llama_context import NativeContext
from freehold.engine.llama_embeddings import NativeEmbedder
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_params import thread_counts
from freehold.engine.native_step import memory_breakdown
from freehold.engine.preparation import Preparation
from freehold.engine.requests import LoadOptions, ModelInfo
from freehold.engine.thread_tuner import ThreadTuner
from freehold.errors import AppError

EMBED_ONLY_CELLS: Final = 256


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """The parts of a worker that exist once its model is loaded."""

    loop: DecodeLoop
    preparation: Preparation
    info: ModelInfo


def build_engine(
    options: LoadOptions, emitter: Emitter, on_progress: Callable[[float], bool]
) -> LoadedEngine:
    """Load the model and make its threads.

    Raises: AppError as `NativeModel` and `NativeContext` do.
    """
    native_log = NativeLog()
    model = NativeModel(options, native_log, on_progress)
    can_generate = model.can_generate and not options.embeddings
    context = NativeContext(model, options if can_generate else _smallest(options), native_log)
    embedder = NativeEmbedder(model, options, native_log)
    tuner = ThreadTuner(thread_counts(options)[0]) if options.threads is None else None
    loop = DecodeLoop(context, embedder, model.handle, options.parallel, emitter, tuner)
    template = options.chat_template or model.chat_template
    preparation = Preparation(
        model,
        template=template,
        context_tokens=context.cells,
        can_generate=can_generate,
        submit=loop.submit,
        send=emitter.send,
    )
    described = describe(model, context, options, template, _abilities(preparation))
    if not can_generate:
        described = msgspec.structs.replace(described, context_tokens=embedder.longest_tokens)
    return LoadedEngine(loop, preparation, described)


def describe(
    model: NativeModel,
    context: NativeContext,
    options: LoadOptions,
    template: str | None,
    abilities: TemplateAbilities,
) -> ModelInfo:
    """Return what is told about a loaded model."""
    return ModelInfo(
        description=model.description,
        architecture=model.architecture,
        parameters=model.parameters(),
        bytes=model.size_bytes(),
        vocab_size=model.vocab_size,
        trained_context_tokens=model.trained_context_tokens,
        context_tokens=context.cells,
        parallel=options.parallel,
        embedding_size=model.embedding_size,
        has_encoder=model.has_encoder,
        has_infill=model.has_infill,
        supports_tools=abilities.supports_tools,
        supports_thinking=abilities.supports_thinking,
        chat_template=template,
        devices=tuple(device.name for device in model.devices),
        buffers=memory_breakdown(context.handle),
        backend=model.devices[0].backend if model.devices else "CPU",
        bos_text=model.token_text("bos"),
        eos_text=model.token_text("eos"),
    )


def _smallest(options: LoadOptions) -> LoadOptions:
    """Return options for the context of a model that only embeds: it is never decoded with."""
    return msgspec.structs.replace(
        options, context_tokens=EMBED_ONLY_CELLS, parallel=1, batch_tokens=EMBED_ONLY_CELLS
    )


def _abilities(preparation: Preparation) -> TemplateAbilities:
    """Return what the template can do; a template that cannot be read fails with its first use."""
    try:
        return preparation.formats.describe()
    except (AppError, NotImplementedError):
        return TemplateAbilities()
