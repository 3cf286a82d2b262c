"""Plan and make a quantised model."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.engine.quantise_job import Job
from freehold.errors import AppError
from freehold.gguf.description import ModelFacts, check_architecture, describe
from freehold.gguf.shards import ModelFile, read_model
from freehold.library import naming
from freehold.library.anatomy import piece_of
from freehold.library.making.child import quantise
from freehold.library.making.importance import read_matrix
from freehold.library.making.places import Workplace, free_bytes, room_problem
from freehold.library.making.recipe import (
    BY_NAME,
    Recipe,
    check_source,
    make_recipe,
    result_name,
)
from freehold.wire import ModelEntry
from freehold.wire_files import QuantisePlan, QuantiseRequest

GROWTH: Final = 1 << 16  # what a header may grow by
LEAST_THREADS: Final = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that was looked at: the child's job, and what it will make."""

    job: Job
    plan: QuantisePlan


async def prepare(entry: ModelEntry, request: QuantiseRequest, models: Path) -> Prepared:
    """Return what a request would make, from llama.cpp's own dry run.

    Raises: AppError where the request or the model cannot be used at all.
    """
    model, facts, recipe, job = await asyncio.to_thread(_read, entry, request)
    types: dict[str, str] = {}

    def note(line: dict[str, Any]) -> None:
        types[str(line["tensor"])] = str(line["type"])

    last = await quantise(msgspec.structs.replace(job, dry_run=True), note)
    name = result_name(naming.stem(model.paths[0].name), request, recipe.mix)
    plan = _plan(model, facts, types, name)
    free = await asyncio.to_thread(free_bytes, models)
    needs_matrix = bool(last.get("needs_matrix")) and not request.matrix
    problem = room_problem(plan.bytes, free)
    if needs_matrix:
        problem = (
            "This mix needs an importance matrix: choose the model's imatrix file, or a mix of"
            " more bits."
        )
    return Prepared(
        job,
        msgspec.structs.replace(plan, free_bytes=free, needs_matrix=needs_matrix, problem=problem),
    )


async def make(prepared: Prepared, place: Workplace, tell: Callable[[str], None]) -> Path:
    """Quantise; return the first file of the result, which is whole and has its name.

    tell: hears which tensor is done now. Cancelling leaves nothing behind.
    Raises: AppError; OSError when the disk fails.
    """
    place.open()
    try:
        stem = place.hidden / place.name
        target = stem if prepared.job.keep_split else stem.with_name(f"{place.name}.gguf")
        job = msgspec.structs.replace(prepared.job, target=str(target))

        def note(line: dict[str, Any]) -> None:
            tell(f"{line['tensor']} to {line['type']}, {line['number']} of {line['of']}")

        await quantise(job, note)
        return await finish(place)
    finally:
        place.clear()


async def finish(place: Workplace) -> Path:
    """Give a result its name; cancelled meanwhile, it is deleted all the same."""
    ending = asyncio.ensure_future(asyncio.to_thread(place.finish))
    try:
        return await asyncio.shield(ending)
    except asyncio.CancelledError:
        await asyncio.gather(ending, return_exceptions=True)
        place.forget()
        raise


# --- parts -------------------------------------------------------------------------------------


def _read(entry: ModelEntry, request: QuantiseRequest) -> tuple[ModelFile, ModelFacts, Recipe, Job]:
    model = read_model(Path(entry.path))
    facts = describe(model)
    unknown = check_architecture(facts.architecture)
    if unknown is not None:
        raise unknown
    recipe = make_recipe(request)
    check_source(facts.bytes_by_type, entry.ref, again=request.again)
    matrix_path = Path(os.path.expanduser(request.matrix)) if request.matrix else None  # noqa: PTH111
    if matrix_path is not None and not matrix_path.is_absolute():
        raise AppError(
            "invalid_request", f"{request.matrix[:200]} is not a full path.", "Give a full path."
        )
    job = Job(
        source=str(model.paths[0]),
        target="",
        file_type=recipe.file_type,
        threads=max(LEAST_THREADS, os.cpu_count() or 1),
        allow_requantise=True,  # what may be quantised from was checked above
        keep_split=len(model.paths) > 1,
        output_type=recipe.output_type,
        embedding_type=recipe.embedding_type,
        overrides=recipe.overrides,
        matrix_path=str(matrix_path) if matrix_path else "",
        matrix=read_matrix(matrix_path) if matrix_path else (),
    )
    return model, facts, recipe, job


def _plan(model: ModelFile, facts: ModelFacts, types: dict[str, str], name: str) -> QuantisePlan:
    by_type: dict[str, int] = {}
    by_piece: dict[str, int] = {}
    changed = 0
    tensors = model.all_tensors()
    for tensor in tensors:
        kind = BY_NAME.get(types.get(tensor.name, "").casefold(), tensor.kind)
        changed += kind != tensor.kind
        size = kind.row_bytes(tensor.shape[0]) * math.prod(tensor.shape[1:])
        by_type[kind.name] = by_type.get(kind.name, 0) + size
        piece = piece_of(tensor.name)[1]
        by_piece[piece] = by_piece.get(piece, 0) + size
    total = sum(by_type.values())
    header = facts.file_bytes - facts.tensor_bytes
    return QuantisePlan(
        name=name,
        source_bytes=facts.file_bytes,
        bytes=total + max(0, header),
        bits_per_weight=round(total * 8 / facts.parameters, 3),
        tensors=len(tensors),
        changed=changed,
        bytes_by_type=by_type,
        bytes_by_piece=by_piece,
        files=len(model.paths),
    )
