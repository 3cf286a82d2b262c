"""What is to be loaded beside a model: a draft model that guesses ahead, a vision projector."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from freehold.errors import AppError
from freehold.gguf.shards import read_model
from freehold.machine.measuring import MeasureProcess, to_options
from freehold.machine.plan.budgets import Beside
from freehold.machine.plan.kv import kv_bytes, kv_type, padded_cells
from freehold.machine.plan.question import Question
from freehold.machine.plan.shape import read_shape
from freehold.units import MIB
from freehold.wire import LoadRequest
from freehold.wire_machine import PlanRequest

# llama.cpp says nothing of an image's buffers before there is an image: assumed, not measured.
IMAGE_BUFFER_BYTES: Final = 200 * MIB


async def weigh_beside(request: PlanRequest, question: Question, child: MeasureProcess) -> Beside:
    """Return the bytes of the draft model and the projector that a request names.

    The draft model's are llama.cpp's own, with a cache for as many tokens as the model has; the
    projector's are its tensors and an assumed buffer for images.
    Raises: AppError `invalid_model` or `not_found` for a file, `invalid_request` for one that is
        no draft model or no projector.
    """
    draft = projector = 0
    if request.draft:
        draft = await _weigh_draft(Path(request.draft), question, child)
    if request.projector:
        projector = await asyncio.to_thread(weigh_projector, Path(request.projector))
    return Beside(draft, projector)


async def _weigh_draft(path: Path, question: Question, child: MeasureProcess) -> int:
    shape = await asyncio.to_thread(lambda: read_shape(read_model(path)))
    if shape.is_embedder:
        raise _refused("draft", path, "It makes no text, so it cannot guess ahead.")
    tokens = min(question.context_tokens, shape.trained_tokens)
    load = LoadRequest(
        context_tokens=tokens,
        parallel=question.parallel,
        kv_type_k=question.kv_type,
        kv_type_v=question.kv_type,
        devices=(),
        gpu_layers=0,
    )
    said = await child.ask(to_options(path, load, embeddings=False))
    if said is not None:
        return sum(sum(kinds.values()) for kinds in said.devices.values())
    kind = kv_type("f16")
    cells = padded_cells(tokens)
    caches = sum(kv_bytes(layer.kv, cells, kind, kind) for layer in shape.layers)
    return shape.weight_bytes + caches


def weigh_projector(path: Path) -> int:
    """Return the bytes of a vision projector.

    Raises: AppError `invalid_model`, `not_found`; `invalid_request` for another kind of file.
    """
    model = read_model(path)
    if model.header.text("general.architecture") != "clip":
        raise _refused("projector", path, "It is no vision projector.")
    return sum(tensor.bytes for tensor in model.all_tensors()) + IMAGE_BUFFER_BYTES


def _refused(name: str, path: Path, why: str) -> AppError:
    return AppError(
        "invalid_request",
        f"{path.name} cannot be used. {why}",
        "Choose another file, or leave it out.",
        detail={"param": name},
    )
