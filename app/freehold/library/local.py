"""The models on this machine: what is there, where it lies, whether it can be used now.

Files are used where they lie, never copied. Each listing looks at the files again, so one that
was changed, moved or unplugged is never offered as ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.errors import AppError
from freehold.gguf.faults import CompanionFileError, quoted
from freehold.library import bundled, naming, schema
from freehold.library.folders import Found, Root, find_models
from freehold.library.inspection import (
    READER,
    Inspected,
    failed_entry,
    first_file,
    inspect,
    is_unchanged,
    make_entry,
    real_path,
    to_info,
)
from freehold.library.schema import StoredModel
from freehold.storage.connection import Database
from freehold.wire import AnyEvent, Changed, ModelEntry

log = logging.getLogger(__name__)

IMPORTED: Final = "imported"
DOWNLOADED: Final = "downloaded"
MADE: Final = "made"
BUNDLED: Final = "bundled"
OWN_ORIGINS: Final = (IMPORTED, DOWNLOADED, MADE)


class Library:
    """Every model this machine has, as far as Freehold was told or found it."""

    def __init__(
        self,
        database: Database,
        publish: Callable[[AnyEvent], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        self._looking = asyncio.Lock()

    # --- reading -----------------------------------------------------------------------------

    async def entries(self) -> tuple[ModelEntry, ...]:
        """Return every model, by name, after a look at its files."""
        async with self._looking:
            stored = await self._database.read(schema.all_models)
            current = await asyncio.to_thread(lambda: [_look_again(model) for model in stored])
            await self._keep(stored, current)
        return tuple(model.entry for model in current)

    async def resolve(self, ref: str) -> ModelEntry:
        """Return the model of this name, or whose file is at this path, if it can be used now.

        A path that was never imported is not opened: names come from other programs too.
        Raises: AppError `model_not_found`, or what is wrong with the model's files.
        """
        stored = await self._find(ref)
        current = await asyncio.to_thread(_look_again, stored)
        await self._keep([stored], [current])
        problem = current.entry.problem
        if problem is not None:
            raise AppError.from_dict(msgspec.to_builtins(problem))
        return current.entry

    async def find(self, ref: str) -> ModelEntry:
        """Return the model of this name or path as it was last seen, usable or not.

        Raises: AppError `model_not_found`.
        """
        return (await self._find(ref)).entry

    # --- changing ----------------------------------------------------------------------------

    async def import_file(
        self,
        path: str | Path,
        *,
        ref: str | None = None,
        origin: str = IMPORTED,
        owned: bool = False,
    ) -> ModelEntry:
        """Add the model at `path` where it lies; importing it again returns the same entry.

        ref: the name to give it; None for one made from the file's name and quantisation.
        Raises: AppError `not_found`, `no_permission`, `invalid_model`, `unsupported_architecture`.
        """
        found = await asyncio.to_thread(lambda: inspect(_full_path(path)))
        now = self._clock()
        entry = await self._database.write(
            lambda c: _add(c, found, ref=ref, origin=origin, owned=owned, now=now)
        )
        self._tell(entry.ref)
        return entry

    async def remove(self, ref: str, *, delete_files: bool = False) -> int:
        """Forget a model, deleting its files only when told to; return the bytes freed.

        Raises: AppError `model_not_found`; `conflict` for files of another program's folder and
            for models that come with Freehold; `no_permission` when a file cannot be deleted
            (the model is then kept).
        """
        stored = await self._find(ref)
        if stored.entry.origin == BUNDLED:
            raise AppError(
                "conflict",
                f"{stored.entry.ref} comes with Freehold and stays with it.",
                "It takes no memory while it is not loaded.",
            )
        freed = 0
        if delete_files:
            if not stored.owned and stored.entry.origin not in OWN_ORIGINS:
                raise AppError(
                    "conflict",
                    f"The files of {stored.entry.ref} belong to {stored.entry.origin}.",
                    f"Delete the model in {stored.entry.origin}, or remove it from the list only.",
                )
            freed = await asyncio.to_thread(_delete, stored)
        await self._database.write(lambda c: schema.forget_model(c, stored.entry.ref))
        self._tell(stored.entry.ref)
        return freed

    async def take_in(self, found: list[Found]) -> int:
        """Add what a search of folders found, and forget what is gone from them.

        Returns how many entries were added. Sound companions (projectors, adapters) are left out.
        """
        known = {model.real_path for model in await self._database.read(schema.all_models)}
        fresh = [item for item in found if real_path(item.path) not in known]
        added = 0
        for item in fresh:
            try:
                looked: Inspected | AppError = await asyncio.to_thread(
                    _examine, item.path, item.origin
                )
            except CompanionFileError:
                continue
            except AppError as error:
                looked = error
            now = self._clock()
            await self._database.write(partial(_add_found, item=item, looked=looked, now=now))
            added += 1
        if added:
            self._tell("")
        return added

    async def scan(self, roots: Sequence[Root]) -> int:
        """Search `roots`: add what is new in them and forget what is gone from them.

        A root that is not there now (an unplugged disk) keeps its models, shown as not ready.
        Returns how many entries were added.
        """
        found = await asyncio.to_thread(find_models, roots)
        stored = await self._database.read(schema.all_models)
        gone = await asyncio.to_thread(_gone, stored, roots)
        for ref in gone:
            await self._database.write(partial(schema.forget_model, ref=ref))
            self._tell(ref)
        return await self.take_in(found)

    async def take_bundled(self, folder: Path) -> int:
        """Add the models that come with Freehold from `folder`, forgetting those of another one.

        One that should be there and is not stays in the list, and says so.
        Returns how many entries were added.
        """
        expected = await asyncio.to_thread(bundled.expected_sums, folder)
        found = await asyncio.to_thread(find_models, [Root(folder, BUNDLED)])
        there = {item.path.name for item in found}
        top = real_path(folder)
        for model in await self._database.read(schema.all_models):
            place, name = os.path.split(model.real_path)
            stays = place == top and name in expected.keys() | there
            if model.entry.origin == BUNDLED and not stays:
                await self._database.write(partial(schema.forget_model, ref=model.entry.ref))
        missing = [Found(folder / name, BUNDLED) for name in sorted(expected.keys() - there)]
        return await self.take_in([*found, *missing])

    async def folders(self) -> tuple[str, ...]:
        """Return the folders the person added."""
        return tuple(await self._database.read(schema.all_folders))

    async def add_folder(self, path: str) -> None:
        """Remember a folder whose models are used in place.

        Raises: AppError `not_found` if it is no folder.
        """
        place = _full_path(path)
        if not await asyncio.to_thread(os.path.isdir, place):
            raise AppError("not_found", f"There is no folder at {place}.", "Check the path.")
        await self._database.write(lambda c: schema.save_folder(c, str(place), self._clock()))
        self._tell("")

    async def remove_folder(self, path: str) -> None:
        """Forget a folder; models that were found in it are forgotten too, their files stay."""
        await self._database.write(lambda c: _forget_folder(c, path))
        self._tell("")

    # --- parts -------------------------------------------------------------------------------

    async def _find(self, ref: str) -> StoredModel:
        found = await self._database.read(lambda c: schema.model_by_ref(c, ref))
        if found is None and "/" in ref and "\0" not in ref:
            real = await asyncio.to_thread(lambda: real_path(first_file(Path(ref))))
            found = await self._database.read(lambda c: schema.model_by_real_path(c, real))
        if found is None:
            raise AppError(
                "model_not_found",
                f"There is no model called {quoted(ref, 120)}.",
                "`freehold models` lists them; `freehold import PATH` adds a GGUF file.",
                detail={"model": ref},
            )
        return found

    async def _keep(self, before: list[StoredModel], after: list[StoredModel]) -> None:
        changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        if not changed:
            return

        def save(connection: Any) -> None:
            for old, new in changed:
                # Not if it was removed or imported anew while its files were being looked at.
                if schema.model_by_ref(connection, old.entry.ref) == old:
                    schema.save_model(connection, new)

        await self._database.write(save)
        for _, model in changed:
            log.info("model %s: its files changed", model.entry.ref)
            self._tell(model.entry.ref)

    def _tell(self, ref: str) -> None:
        self._publish(Changed(topic="models", id=ref))


def _full_path(path: str | Path) -> Path:
    place = Path(os.path.expanduser(path))  # noqa: PTH111 - the method raises for unknown users
    if not place.is_absolute():
        raise AppError(
            "invalid_request", f"{quoted(str(path))} is not a full path.", "Give a full path."
        )
    return place


def _look_again(model: StoredModel) -> StoredModel:
    """Return the model as its files are now; what was remembered if nothing changed.

    One that was not usable is read again each time: whatever was wrong may be mended.
    """
    if model.entry.ready and is_unchanged(model):
        return model
    entry = model.entry
    try:
        found = _examine(Path(entry.path), entry.origin)
    except AppError as error:
        missing = msgspec.structs.replace(entry, ready=False, problem=to_info(error))
        return replace(model, entry=missing)
    fresh = make_entry(found, ref=entry.ref, origin=entry.origin, added_at=entry.added_at)
    return replace(model, entry=fresh, files=found.files, reader=READER)


def _examine(path: Path, origin: str) -> Inspected:
    """Read a model's files; those that come with Freehold are also compared with their sums."""
    return bundled.examine(path) if origin == BUNDLED else inspect(path)


def _gone(stored: Sequence[StoredModel], roots: Sequence[Root]) -> list[str]:
    """Return the names of found models whose file is gone from a folder that is there."""
    folders: dict[str, list[str]] = {}
    for root in roots:
        if root.path.is_dir():
            folders.setdefault(root.origin, []).append(os.path.realpath(root.path))
    return [
        model.entry.ref
        for model in stored
        if model.entry.origin not in OWN_ORIGINS
        and any(
            model.real_path.startswith(f"{top}/") for top in folders.get(model.entry.origin, ())
        )
        and not Path(model.entry.path).exists()
    ]


def _add(
    connection: Any, found: Inspected, *, ref: str | None, origin: str, owned: bool, now: float
) -> ModelEntry:
    """Store a model under its old name if it has one, else under a free one."""
    known = schema.model_by_real_path(connection, found.real_path)
    if known is not None:
        name, added_at = known.entry.ref, known.entry.added_at
        origin = origin if known.entry.origin not in OWN_ORIGINS else known.entry.origin
        owned = owned or known.owned
    else:
        wished = ref or naming.propose(found.path.name, found.facts.name, found.facts.quant)
        name, added_at = _free_name(connection, wished, found), now
    entry = make_entry(found, ref=name, origin=origin, added_at=added_at)
    schema.save_model(
        connection, StoredModel(entry, found.real_path, found.files, owned=owned, reader=READER)
    )
    return entry


def _free_name(connection: Any, wished: str, found: Inspected) -> str:
    """Return `wished`, also if a model of that name was moved here; else with a number."""

    def is_taken(name: str) -> bool:
        holder = schema.model_by_ref(connection, name)
        if holder is None:
            return False
        gone = not Path(holder.real_path).exists()
        same = holder.entry.bytes == found.facts.file_bytes
        return not (gone and same and holder.entry.arch == found.facts.architecture)

    return naming.make_unique(wished, is_taken)


def _add_found(connection: Any, item: Found, looked: Inspected | AppError, now: float) -> None:
    if isinstance(looked, Inspected):
        wished = item.ref and f"{item.ref}:{looked.facts.quant}"
        _add(connection, looked, ref=wished, origin=item.origin, owned=False, now=now)
        return

    def is_taken(name: str) -> bool:
        return schema.model_by_ref(connection, name) is not None

    wished = item.ref or naming.propose(item.path.name, "", "")
    entry = failed_entry(
        item.path,
        looked,
        ref=naming.make_unique(wished, is_taken),
        origin=item.origin,
        added_at=now,
    )
    entry = bundled.named(entry) if item.origin == BUNDLED else entry
    schema.save_model(
        connection, StoredModel(entry, real_path(item.path), (), owned=False, reader=READER)
    )


def _forget_folder(connection: Any, path: str) -> None:
    schema.forget_folder(connection, path)
    for model in schema.all_models(connection):
        if model.entry.origin == path:
            schema.forget_model(connection, model.entry.ref)


def _delete(model: StoredModel) -> int:
    """Delete a model's files, the first one last, so that a failure leaves it recognisable."""
    freed = 0
    for file in reversed(model.files):
        path = Path(file.path)
        try:
            size = path.lstat().st_size
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise AppError(
                "no_permission",
                f"{path} could not be deleted ({error.strerror}).",
                "Delete it by hand, or remove the model from the list only.",
                detail={"path": str(path)},
            ) from error
        freed += size
    if model.owned:
        for folder in {Path(file.path).parent for file in model.files}:
            with contextlib.suppress(OSError):
                folder.rmdir()  # one that Freehold made, unless something else lies in it
    return freed
