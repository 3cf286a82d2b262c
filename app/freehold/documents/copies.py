"""Freehold's own copies of files that were given, and pictures of their pages, on disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final

from freehold.documents import refusals
from freehold.documents.limits import MAX_FILE_BYTES
from freehold.documents.parsing import open_plain
from freehold.errors import AppError
from freehold.units import format_bytes

CHUNK_BYTES: Final = 1 << 20
SILENCE_S: Final = 30.0
PART: Final = ".part"
SPARE_BYTES: Final = 256 << 20
MAX_PICTURES_BYTES: Final = 256 << 20
_ID: Final = re.compile(r"[0-9a-f]{8,64}")


class Copies:
    """Files by the id of their document, readable by their owner alone. Methods block."""

    def __init__(self, files: Path, pictures: Path) -> None:
        self._files = files
        self._pictures = pictures

    def path(self, document_id: str) -> Path:
        """Return where a document's copy lies, or would."""
        assert _ID.fullmatch(document_id)
        return self._files / document_id

    def take(self, source: Path, document_id: str, name: str) -> int:
        """Copy a plain file; return its size.

        Raises: AppError as `open_plain`, or `disk_full`.
        """
        with contextlib.ExitStack() as stack:
            handle = open_plain(source, name)
            stack.callback(os.close, handle)
            size = os.fstat(handle).st_size
            self._check_room(size, name)
            target = stack.enter_context(self._create(document_id))
            left = size
            while left > 0:
                chunk = os.read(handle, min(left, CHUNK_BYTES))
                if not chunk:
                    break
                target.write(chunk)
                left -= len(chunk)
            return size - left

    async def receive(
        self, chunks: AsyncIterator[bytes], document_id: str, name: str, announced: int | None
    ) -> int:
        """Write what arrives to disk, piece by piece; return its size.

        Raises: AppError `payload_too_large` beyond the limit, or `disk_full`.
        """
        self._check_size(announced or 0, name)
        self._check_room(announced or 0, name)
        size = 0
        waiting = bytearray()
        try:
            with self._create(document_id) as target:
                async for chunk in _in_time(chunks, name):
                    size += len(chunk)
                    self._check_size(size, name)
                    waiting += chunk
                    if len(waiting) >= CHUNK_BYTES:
                        await asyncio.to_thread(target.write, bytes(waiting))
                        waiting.clear()
                await asyncio.to_thread(target.write, bytes(waiting))
        except BaseException:
            self.remove(document_id)
            raise
        return size

    def remove(self, document_id: str) -> None:
        """Delete a document's copy and the pictures of its pages."""
        self.path(document_id).unlink(missing_ok=True)
        self.forget_pictures(document_id)

    def sweep(self, known: Collection[str]) -> None:
        """Delete what belongs to no document: copies that were broken off, pictures."""
        for folder in (self._files, self._pictures):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if entry.name in known:
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)

    # --- pictures of pages

    def picture(self, document_id: str, key: str) -> bytes | None:
        """Return a picture that was drawn before."""
        file = self._picture(document_id, key)
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        return data

    def keep_picture(self, document_id: str, key: str, png: bytes) -> None:
        """Keep a picture for the next time; the oldest go when there are too many."""
        file = self._picture(document_id, key)
        # A picture can be drawn again: a full disk is no reason to fail.
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = file.with_suffix(".part")
            part.write_bytes(png)
            part.replace(file)
            self._trim()

    def forget_pictures(self, document_id: str) -> None:
        """Delete the pictures of a document's pages."""
        assert _ID.fullmatch(document_id)
        shutil.rmtree(self._pictures / document_id, ignore_errors=True)

    # --- inside

    def _picture(self, document_id: str, key: str) -> Path:
        assert _ID.fullmatch(document_id)
        return self._pictures / document_id / f"{key}.png"

    def _trim(self) -> None:
        found = [(f.stat(), f) for f in self._pictures.glob("*/*.png")]
        total = sum(status.st_size for status, _ in found)
        for status, file in sorted(found, key=lambda item: item[0].st_mtime):
            if total <= MAX_PICTURES_BYTES:
                break
            file.unlink(missing_ok=True)
            total -= status.st_size

    def _create(self, document_id: str) -> contextlib.AbstractContextManager[_Target]:
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Target(self.path(document_id))

    def _check_room(self, size: int, name: str) -> None:
        self._files.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self._files).free
        if size + SPARE_BYTES > free:
            raise AppError(
                "disk_full",
                f"There is no room to keep “{name}”: it has {format_bytes(size)},"
                f" and {format_bytes(free)} are free.",
                "Free some room on that disk, then add it again.",
                detail={"file": name},
            )

    @staticmethod
    def _check_size(size: int, name: str) -> None:
        if size > MAX_FILE_BYTES:
            raise refusals.too_large(
                name,
                f"it has more than {format_bytes(MAX_FILE_BYTES)}, the limit a file",
            )


async def _in_time(chunks: AsyncIterator[bytes], name: str) -> AsyncIterator[bytes]:
    """Yield what arrives, as long as something does."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise AppError(
                "request_timeout",
                f"Nothing more of “{name}” came for {SILENCE_S:.0f} seconds.",
                "Send it again over a better connection.",
                retryable=True,
            ) from error
        if chunk is None:
            return
        yield chunk


class _Target(contextlib.AbstractContextManager["_Target"]):
    """A file being written; gone again if it does not come to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_suffix(PART)
        self._handle = os.open(
            self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle, view) :]

    def __exit__(self, kind: object, *_rest: object) -> None:
        os.close(self._handle)
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
