"""The database: one writer, snapshots for readers, migrations, backups."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from doubles.waiting import until
from freehold.errors import AppError
from freehold.paths import Paths
from freehold.storage import backups
from freehold.storage.connection import Database
from freehold.storage.migrations import Schema


def m001_notes(connection: Any) -> None:
    connection.execute("CREATE TABLE note (text TEXT NOT NULL) STRICT")


def m002_colour(connection: Any) -> None:
    connection.execute("ALTER TABLE note ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")


NOTES = Schema("notes", (m001_notes,))
NOTES_2 = Schema("notes", (m001_notes, m002_colour))


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


async def test_what_is_written_is_read_and_a_failed_write_leaves_nothing(
    database: Database,
) -> None:
    await database.write(add("one"))

    def half(connection: Any) -> None:
        add("two")(connection)
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await database.write(half)
    await database.write(add("three"))
    assert await database.read(texts) == ["one", "three"]


async def test_writes_run_one_at_a_time_in_order(database: Database) -> None:
    await asyncio.gather(*(database.write(add(str(n)), durable=n % 2 == 0) for n in range(50)))
    assert await database.read(texts) == [str(n) for n in range(50)]


async def test_a_reader_sees_one_snapshot_while_the_writer_goes_on(database: Database) -> None:
    await database.write(add("before"))
    inside, go_on = threading.Event(), threading.Event()

    def slow(connection: Any) -> tuple[list[str], list[str]]:
        first = texts(connection)
        inside.set()
        assert go_on.wait(5)
        return first, texts(connection)

    reading = asyncio.create_task(database.read(slow))
    await asyncio.to_thread(inside.wait, 5)
    await database.write(add("during"))
    go_on.set()
    assert await reading == (["before"], ["before"])
    assert await database.read(texts) == ["before", "during"]


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(AppError) as refused:
        await database.read(add("no"))
    assert refused.value.code == "storage_failed"


def test_wrong_sql_is_our_bug_not_the_disks(database: Database) -> None:
    with pytest.raises(apsw.SQLError):
        database.read_now(lambda c: c.execute("SELECT nothing FROM nowhere"))
    with pytest.raises(apsw.ConstraintError):
        database.write_now(lambda c: c.execute("INSERT INTO note (text) VALUES (NULL)"))


def test_words_of_a_person_are_synchronised_and_streamed_text_is_not(database: Database) -> None:
    def level(connection: Any) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    assert database.write_now(level) == 2
    assert database.write_now(level, durable=False) == 1
    assert database.write_now(level) == 2
    (mode,) = database.read_now(lambda c: c.execute("PRAGMA journal_mode").fetchone())
    assert mode == "wal"
    (mapped,) = database.read_now(lambda c: c.execute("PRAGMA mmap_size").fetchone())
    assert mapped == 0


def test_the_file_is_private_and_sqlite_is_safe(database: Database, paths: Paths) -> None:
    assert stat.S_IMODE(paths.database.stat().st_mode) == 0o600
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


# --- migrations ------------------------------------------------------------------------------


def test_a_migration_runs_once_after_a_backup(paths: Paths) -> None:
    first = Database.open(paths, (NOTES,))
    first.write_now(add("kept"))
    first.close()
    assert backups.list_backups(paths.database) == []
    for _ in range(2):
        second = Database.open(paths, (NOTES_2,))
        rows = second.read_now(lambda c: c.execute("SELECT text, colour FROM note").fetchall())
        second.close()
        assert rows == [("kept", "red")]
    (copy,) = backups.list_backups(paths.database)
    assert "before-notes-2" in copy.name
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
    assert texts(connection) == ["kept"]
    connection.close()


def test_a_failing_migration_changes_nothing(paths: Paths) -> None:
    def m002_breaks(connection: Any) -> None:
        m002_colour(connection)
        raise KeyError("bug")

    Database.open(paths, (NOTES,)).close()
    with pytest.raises(KeyError):
        Database.open(paths, (Schema("notes", (m001_notes, m002_breaks)),))
    again = Database.open(paths, (NOTES,))
    columns = again.read_now(
        lambda c: c.execute("SELECT * FROM pragma_table_info('note')").fetchall()
    )
    assert [column[1] for column in columns] == ["text"]
    again.close()


def test_features_grow_independently(paths: Paths) -> None:
    def m001_other(connection: Any) -> None:
        connection.execute("CREATE TABLE other (x INTEGER) STRICT")

    Database.open(paths, (NOTES,)).close()
    both = Database.open(paths, (NOTES, Schema("other", (m001_other,))))
    assert both.read_now(lambda c: c.execute("SELECT count(*) FROM other").fetchone()) == (0,)
    both.close()
    Database.open(paths, (NOTES,)).close()


def test_a_newer_file_is_refused_and_not_touched(paths: Paths) -> None:
    Database.open(paths, (NOTES_2,)).close()
    before = paths.database.read_bytes()
    with pytest.raises(AppError) as refused:
        Database.open(paths, (NOTES,))
    assert refused.value.code == "storage_too_new"
    assert "newer" in refused.value.message
    assert refused.value.hint
    assert paths.database.read_bytes() == before
    assert backups.list_backups(paths.database) == []


# --- backups ---------------------------------------------------------------------------------


async def test_a_daily_backup_is_made_once_a_day_and_seven_are_kept(
    database: Database, paths: Paths
) -> None:
    await database.write(add("kept"))
    now = time.time()
    assert await database.back_up(now=now) is not None
    assert await database.back_up(now=now + 3600) is None
    for day in range(1, 12):
        # As if the copies so far had been made on earlier days.
        for number, copy in enumerate(backups.list_backups(paths.database), start=1):
            renamed = copy.with_name(f"freehold-2026{day:02}{number:02}T000000.db")
            copy.rename(renamed)
            os.utime(renamed, (now - number * 90_000, now - number * 90_000))
        assert await database.back_up(now=now) is not None
    assert len(backups.list_backups(paths.database)) == backups.KEPT_DAILY


async def test_a_clock_that_jumps_back_does_not_stop_backups(
    database: Database, paths: Paths
) -> None:
    now = time.time()
    copy = await database.back_up(now=now)
    assert copy is not None
    os.utime(copy, (now + 10 * 365 * 86_400,) * 2)
    assert await database.back_up(now=now) is not None


async def test_a_sound_file_passes_its_check(database: Database) -> None:
    await database.write(add("x"))
    assert await database.check() is None


async def test_closing_lands_queued_writes_breaks_off_reads_and_refuses_the_rest(
    paths: Paths,
) -> None:
    database = Database.open(paths, (NOTES,))
    writing = [asyncio.create_task(database.write(add(str(n)))) for n in range(20)]
    endless = asyncio.create_task(
        database.read(
            lambda c: c.execute(
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
                " SELECT count(*) FROM n"
            ).fetchall()
        )
    )
    await asyncio.sleep(0)
    await until(lambda: database._opened)
    await asyncio.wait_for(asyncio.to_thread(database.close), 10)
    await asyncio.gather(*writing)
    with pytest.raises(AppError):
        await endless
    with pytest.raises(AppError) as late:
        await database.write(add("late"))
    assert late.value.code == "busy"
    again = Database.open(paths, (NOTES,))
    assert len(again.read_now(texts)) == 20
    again.close()
