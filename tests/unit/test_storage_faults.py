"""The database when the disk, another program or a bit of dust is against it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage import backups
from freehold.storage.connection import Database
from freehold.storage.migrations import Schema
from freehold.storage.sqlite import describe


def m001_notes(connection: Any) -> None:
    connection.execute("CREATE TABLE note (text TEXT NOT NULL) STRICT")


NOTES = Schema("notes", (m001_notes,))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "g")
    made.create()
    return made


@pytest.fixture
def database(paths: Paths) -> Iterator[Database]:
    opened = Database.open(paths, (NOTES,))
    yield opened
    opened.close()


def add(text: str) -> Callable[[Any], object]:
    return lambda c: c.execute("INSERT INTO note (text) VALUES (?)", (text,))


def texts(connection: Any) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY rowid")]


def texts_or_damage(database: Database) -> list[str] | None:
    """Return the notes; None when bytes inside a text are damaged (SQLite cannot see that)."""
    try:
        return database.read_now(texts)
    except AppError as error:
        if error.code == "storage_failed" and "damaged" in error.message:
            return None
        raise


# --- a full disk -----------------------------------------------------------------------------


async def test_a_full_disk_is_named_and_everything_can_still_be_read(database: Database) -> None:
    await database.write(add("kept"))
    # SQLite's own limit on the file gives the same error as a disk without room.
    limit = database._writer.submit(
        lambda: database._connection.execute("PRAGMA max_page_count = 1").fetchone()
    )
    await asyncio.wrap_future(limit)
    with pytest.raises(AppError) as full:
        await database.write(add("x" * 100_000))
    assert full.value.code == "disk_full"
    assert full.value.hint
    assert full.value.retryable
    assert (await database.read(texts))[0] == "kept"
    lifted = database._writer.submit(
        lambda: database._connection.execute("PRAGMA max_page_count = 1000000").fetchone()
    )
    await asyncio.wrap_future(lifted)
    await database.write(add("room again"))
    assert (await database.read(texts))[-1] == "room again"


FILE_LIMIT_CHILD = """
import resource, sys
from pathlib import Path
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage.connection import Database
from freehold.storage.migrations import Schema
def m001(c): c.execute("CREATE TABLE note (text TEXT NOT NULL) STRICT")
root = Path(sys.argv[1])
paths = Paths(root / "d", root / "s", root / "c", root / "g"); paths.create()
database = Database.open(paths, (Schema("notes", (m001,)),))
def add(c): c.execute("INSERT INTO note (text) VALUES (?)", ("x" * 10000,))
database.write_now(add)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
codes, kept = set(), 1
for _ in range(100):
    try:
        database.write_now(add)
        kept += 1
    except AppError as error:
        codes.add(error.code)
count = database.read_now(lambda c: c.execute("SELECT count(*) FROM note").fetchone()[0])
assert count == kept, (count, kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
database.write_now(add)
check = database.read_now(lambda c: c.execute("PRAGMA integrity_check").fetchone()[0])
print(sorted(codes), check)
database.close()
"""


def test_a_write_the_system_refuses_loses_nothing_and_works_again_later(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT_CHILD, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A refused write with room on the disk is an error of the storage, not a full disk.
    assert done.stdout.strip() in ("['storage_failed'] ok", "['disk_full'] ok")


async def test_a_backup_that_does_not_fit_leaves_no_half_copy(
    database: Database, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_path: Path) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(backups, "_sync", no_room)
    with pytest.raises(AppError) as full:
        await database.back_up()
    assert full.value.code == "disk_full"
    assert list(backups.backup_folder(paths.database).iterdir()) == []


async def test_a_backup_never_takes_the_last_room(
    database: Database, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with pytest.raises(AppError) as refused:
        await database.back_up()
    assert refused.value.code == "disk_full"
    assert "50.0 MB are free" in refused.value.message
    assert list(backups.backup_folder(paths.database).iterdir()) == []


# --- other programs --------------------------------------------------------------------------


async def test_a_lock_of_another_program_delays_writes_and_stops_nothing_else(
    database: Database, paths: Paths
) -> None:
    await database.write(add("before"))
    other = apsw.Connection(str(paths.database))
    other.execute("BEGIN IMMEDIATE")
    waiting = [asyncio.create_task(database.write(add(f"queued {n}"))) for n in range(5)]
    longest_s, last = 0.0, time.monotonic()
    for _ in range(50):
        assert await database.read(texts) == ["before"]
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest_s, last = max(longest_s, now - last), now
    assert not any(task.done() for task in waiting)
    assert longest_s < 0.5  # the loop was never held up by the waiting writer
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(*waiting)
    assert await database.read(texts) == ["before", *(f"queued {n}" for n in range(5))]


def test_each_fault_is_named_with_a_next_step(paths: Paths) -> None:
    expected = {
        apsw.BusyError("locked"): ("storage_failed", "Another program"),
        apsw.ReadOnlyError("readonly"): ("storage_failed", "read-only"),
        apsw.CantOpenError("cannot open"): ("no_permission", "cannot be opened"),
        apsw.CorruptError("malformed"): ("storage_failed", "damaged"),
        apsw.FullError("full"): ("disk_full", "no room left"),
        apsw.IOError("disk I/O error"): ("storage_failed", "could not be read or written"),
    }
    for fault, (code, words) in expected.items():
        error = describe(fault, paths.database)
        assert error.code == code
        assert words in error.message
        assert error.hint


# --- permissions -----------------------------------------------------------------------------

READ_ONLY_CHILD = """
import os, sys
from pathlib import Path
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage.connection import Database
root = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    Database.open(Paths(root / "d", root / "s", root / "c", root / "g"), ())
except AppError as error:
    print(error.code, bool(error.hint))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_file_one_may_not_write_is_named(tmp_path: Path) -> None:
    made = Paths(tmp_path / "d", tmp_path / "s", tmp_path / "c", tmp_path / "g")
    made.create()
    Database.open(made, (NOTES,)).close()
    made.database.chmod(0o444)
    for folder in (made.data, tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tmp_path) or tmp_path.is_relative_to(folder):
            if str(folder) in ("/", "/tmp"):
                continue
            folder.chmod(0o555 if folder == made.data else 0o755)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY_CHILD, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    made.data.chmod(0o755)
    code, _, hint = done.stdout.strip().partition(" ")
    assert (code in ("no_permission", "storage_failed"), hint) == (True, "True"), done.stderr


# --- damage ----------------------------------------------------------------------------------


def make_with_backup(paths: Paths, count: int = 200) -> bytes:
    database = Database.open(paths, (NOTES,))
    for number in range(count):
        database.write_now(add(f"note {number} " + "y" * 200), durable=False)
    asyncio.run(database.back_up())
    database.close()
    return paths.database.read_bytes()


@pytest.mark.allow_logs("damaged", "not a sound database")
def test_garbage_is_set_aside_and_the_newest_backup_is_used(paths: Paths) -> None:
    make_with_backup(paths)
    garbage = random.Random(1).randbytes(50_000)
    paths.database.write_bytes(garbage)
    database = Database.open(paths, (NOTES,))
    assert len(database.read_now(texts)) == 200
    database.write_now(add("goes on"))
    database.close()
    assert database.recovery is not None
    assert database.recovery.set_aside.read_bytes() == garbage
    notice = database.recovery.as_error()
    assert str(database.recovery.set_aside) in notice.message
    assert "backup" in notice.hint
    again = Database.open(paths, (NOTES,))
    assert again.recovery is None
    assert again.read_now(texts)[-1] == "goes on"
    again.close()


@pytest.mark.allow_logs("damaged", "not a sound database")
def test_without_a_backup_one_starts_empty_and_is_told(paths: Paths) -> None:
    paths.database.write_bytes(b"not a database at all" * 100)
    database = Database.open(paths, (NOTES,))
    assert database.read_now(texts) == []
    database.close()
    assert database.recovery is not None
    assert "No backup" in database.recovery.as_error().hint


@pytest.mark.allow_logs("damaged", "not a sound database")
def test_a_damaged_backup_is_passed_over(paths: Paths) -> None:
    make_with_backup(paths)
    (good,) = backups.list_backups(paths.database)
    bad = good.with_name("freehold-29991231T000000.db")
    bad.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    paths.database.write_bytes(b"junk" * 1000)
    database = Database.open(paths, (NOTES,))
    assert len(database.read_now(texts)) == 200
    database.close()
    assert database.recovery is not None
    assert database.recovery.restored_from == good


@pytest.mark.allow_logs("damaged", "not a sound database")
def test_200_truncations_and_bursts_of_random_bytes_never_stop_the_start(paths: Paths) -> None:
    whole = make_with_backup(paths)
    chance = random.Random(22)
    recovered = 0
    for number in range(200):
        damaged = bytearray(whole)
        if number % 2:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            at = chance.randrange(len(damaged))
            burst = chance.randbytes(chance.randrange(1, 4096))
            damaged[at : at + len(burst)] = burst
        paths.database.write_bytes(damaged)
        for ending in ("-wal", "-shm"):
            # A journal of noise, as a torn disk leaves one.
            beside = paths.database.with_name(paths.database.name + ending)
            beside.unlink(missing_ok=True)
            if ending == "-wal" and number % 5 == 0:
                beside.write_bytes(chance.randbytes(3000))
        database = Database.open(paths, (NOTES,))
        database.write_now(add("goes on"))
        found = texts_or_damage(database)
        database.close()
        if found is None:
            continue
        assert found[-1] == "goes on"
        if database.recovery is not None:
            recovered += 1
            assert len(found) == 201
            assert database.recovery.set_aside.exists()
            database.recovery.set_aside.unlink()
    assert recovered > 80


@pytest.mark.allow_logs("database check failed", "damaged", "not a sound database")
async def test_damage_found_in_the_background_is_told_and_mended_at_the_next_start(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await asyncio.to_thread(make_with_backup, paths)
    monkeypatch.setattr("freehold.storage.connection.CHECK_AT_OPEN_BYTES", 0)
    torn = bytearray(whole)
    torn[4096 * 4 : 4096 * 5] = bytes(4096)
    paths.database.write_bytes(torn)
    database = Database.open(paths, (NOTES,))
    assert database.recovery is None
    problem = await database.check()
    database.close()
    assert problem is not None
    assert problem.code == "storage_failed"
    assert "Restart" in problem.hint
    again = Database.open(paths, (NOTES,))
    assert again.recovery is not None
    assert len(again.read_now(texts)) == 200
    again.close()
