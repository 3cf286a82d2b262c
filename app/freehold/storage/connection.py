"""The database of one installation: one writing thread, several reading ones.

Only the server opens it for writing. `write` runs a function inside one transaction on the
writing thread; `read` runs one on a read-only connection, so nobody waits for a writer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import apsw

from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage import backups, migrations
from freehold.storage.backups import Recovery
from freehold.storage.migrations import Schema
from freehold.storage.sqlite import BUGS, SAFE_VERSION, describe, is_sound, open_connection

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")

# How long a write waits for another program that holds the file.
WRITE_WAIT_S: Final = 60.0
READ_WAIT_S: Final = 10.0
READERS: Final = 3
FORGET_WAIT_MS: Final = 2_000
# SQLite's steps after which a reader looks whether the database is closing.
CANCEL_STEPS: Final = 20_000
# Up to this size the whole file is checked before it is used; above, in the background.
CHECK_AT_OPEN_BYTES: Final = 16 << 20


class Database:
    """One SQLite file, its writing thread and its readers."""

    def __init__(self, path: Path, recovery: Recovery | None) -> None:
        self.path = path
        self.recovery = recovery
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="database-read")
        self._local = threading.local()
        self._opened: list[Any] = []
        self._opened_guard = threading.Lock()
        self._connection: Any = None
        self._durable = True
        self._closed = False

    @classmethod
    def open(cls, paths: Paths, schemas: Sequence[Schema]) -> Database:
        """Open the file, setting a damaged one aside, and bring its tables up to date.

        Blocks; call it before the loop starts or in a thread.
        Raises: AppError `storage_too_new`, `disk_full`, `no_permission` or `storage_failed`.
        """
        if _version() < SAFE_VERSION:
            raise AppError(
                "storage_failed",
                f"SQLite {apsw.sqlite_lib_version()} is not safe to keep chats in.",
                "Install the `apsw` package that Freehold pins.",
            )
        path = paths.database
        try:
            recovery = _make_sound(path, schemas)
            database = cls(path, recovery)
            try:
                database._writer.submit(database._start, tuple(schemas)).result()
            except BaseException:
                database.close()
                raise
        except apsw.Error as error:
            raise describe(error, path) from error
        return database

    # --- asynchronous ------------------------------------------------------------------------

    async def write(self, function: Callable[[Any], T], *, durable: bool = True) -> T:
        """Run `function(connection)` in one transaction and return its result.

        durable: wait until the disk has it (what a person said); False for streamed text, which
        survives the end of the process but perhaps not a power cut.
        Raises: AppError `disk_full` or `storage_failed`; nothing of the transaction is kept.
        """
        return await asyncio.wrap_future(
            self._submit(self._writer, self._transact, function, durable)
        )

    async def read(self, function: Callable[[Any], T]) -> T:
        """Run `function(connection)` on a read-only connection and return its result."""
        return await asyncio.wrap_future(self._submit(self._readers, self._query, function))

    async def forget(self) -> None:
        """Empty the log of writes: what was deleted is then in no file of the database.

        A reader that is busy leaves it to the next write.
        """
        await asyncio.wrap_future(self._submit(self._writer, self._truncate_log))

    # --- from a plain thread -----------------------------------------------------------------

    def write_now(self, function: Callable[[Any], T], *, durable: bool = True) -> T:
        """Do as `write`, blocking the calling thread; for the command line."""
        return self._submit(self._writer, self._transact, function, durable).result()

    def read_now(self, function: Callable[[Any], T]) -> T:
        """Do as `read`, blocking the calling thread; for the command line."""
        return self._submit(self._readers, self._query, function).result()

    # --- upkeep ------------------------------------------------------------------------------

    async def back_up(self, *, now: float | None = None) -> Path | None:
        """Make the daily copy if it is due; return it."""
        if not backups.is_due(self.path, time.time() if now is None else now):
            return None
        return await asyncio.wrap_future(self._submit(self._readers, self._copy))

    async def check(self) -> AppError | None:
        """Check the whole file for damage; the next start sets a damaged one aside."""
        problem = await asyncio.wrap_future(self._submit(self._readers, self._find_damage))
        if problem is None:
            return None
        await asyncio.to_thread(_suspect_mark(self.path).touch)
        log.error("database check failed: %s", problem)
        return describe(problem, self.path)

    def close(self) -> None:
        """Finish the writes that are queued, break off what is read, close every connection."""
        if self._closed:
            return
        self._closed = True
        self._readers.shutdown(wait=True, cancel_futures=True)
        with self._opened_guard:
            while self._opened:
                self._opened.pop().close()
        self._writer.submit(self._stop).result()
        self._writer.shutdown(wait=True)

    def _submit(
        self,
        threads: ThreadPoolExecutor,
        function: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        if self._closed:
            raise AppError(
                "busy",
                "Freehold is shutting down.",
                "Start it again, then repeat this.",
                retryable=True,
            )
        return threads.submit(function, *args, **kwargs)

    # --- threads -----------------------------------------------------------------------------

    def _start(self, schemas: tuple[Schema, ...]) -> None:
        connection = open_connection(self.path, busy_wait_s=WRITE_WAIT_S)
        self._connection = connection
        self.path.chmod(0o600)
        known = migrations.recorded(connection)
        steps = migrations.pending(connection, schemas)
        if known and steps:
            feature, number, _ = steps[0]
            backups.make_backup(connection, self.path, label=f"{feature}-{number}")
        migrations.apply(connection, schemas)

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transact(self, function: Callable[[Any], T], durable: bool) -> T:
        connection = self._connection
        try:
            if durable != self._durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = function(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except BUGS:
            raise
        except (apsw.Error, UnicodeDecodeError) as error:
            raise describe(error, self.path) from error
        return result

    def _truncate_log(self) -> None:
        self._connection.set_busy_timeout(FORGET_WAIT_MS)
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.BusyError:
            log.info("the database's log is in use and is emptied later")
        except apsw.Error as error:
            raise describe(error, self.path) from error
        finally:
            self._connection.set_busy_timeout(round(WRITE_WAIT_S * 1000))

    def _query(self, function: Callable[[Any], T]) -> T:
        try:
            connection = self._reader()
            # One snapshot: a reply that ends between two statements must not vanish.
            connection.execute("BEGIN")
            try:
                return function(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except BUGS:
            raise
        except (apsw.Error, UnicodeDecodeError) as error:
            raise describe(error, self.path) from error

    def _reader(self) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            try:
                connection = open_connection(self.path, read_only=True, busy_wait_s=READ_WAIT_S)
            except apsw.Error as error:
                raise describe(error, self.path) from error
            # A check of a large file must not hold up the end.
            connection.set_progress_handler(lambda: self._closed, CANCEL_STEPS)
            self._local.connection = connection
            with self._opened_guard:
                self._opened.append(connection)
        return connection

    def _find_damage(self) -> apsw.Error | None:
        try:
            rows = self._reader().execute("PRAGMA quick_check(5)").fetchall()
        except (apsw.CorruptError, apsw.NotADBError) as error:
            return error
        except apsw.Error as error:
            raise describe(error, self.path) from error
        found = "; ".join(str(row[0]) for row in rows)
        return None if found == "ok" else apsw.CorruptError(found)

    def _copy(self) -> Path:
        return backups.make_backup(self._reader(), self.path)


def _make_sound(path: Path, schemas: Sequence[Schema]) -> Recovery | None:
    """Refuse a newer file untouched, and replace a damaged one by its newest backup."""
    if not path.exists():
        return None
    mark = _suspect_mark(path)
    size_bytes = path.stat().st_size
    if size_bytes == 0 and backups.list_backups(path):
        return backups.set_aside(path)
    small = size_bytes <= CHECK_AT_OPEN_BYTES
    try:
        connection = open_connection(path, read_only=True, busy_wait_s=WRITE_WAIT_S)
        try:
            migrations.check_not_newer(connection, schemas)
        finally:
            connection.close()
        if not (small or mark.exists()) or is_sound(path):
            mark.unlink(missing_ok=True)
            return None
    except (apsw.NotADBError, apsw.CorruptError):
        log.warning("%s is not a sound database", path)
    mark.unlink(missing_ok=True)
    return backups.set_aside(path)


def _suspect_mark(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
