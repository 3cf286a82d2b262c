"""The downloader against a hub on loopback that does everything wrong."""

from __future__ import annotations

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from doubles.downloads import CHUNK, REPO, contents, make_transfer, publish, some_bytes
from doubles.hub import Hub, HubRepo, running_hub
from doubles.hub_faults import MIXED, Kind
from freehold.errors import AppError
from freehold.library.download import shelf
from freehold.library.download.fetching import StoppedError
from freehold.library.download.journal import peek
from freehold.library.download.places import Place
from freehold.library.download.transfer import Transfer
from freehold.library.variants import RepoFile

SIZE = 10 * CHUNK + 1234


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def fetched(hub: Hub) -> int:
    """Return how many downloads the CDN was asked for."""
    return len(hub.seen("cdn", "GET"))


def test_a_file_arrives_whole_and_takes_its_name_last(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(SIZE)
    transfer = make_transfer(hub, tmp_path, publish(hub, {"a/b.gguf": data}))
    transfer.run()
    (place,) = transfer.places
    assert place.target == tmp_path / "ada/tiny-GGUF/a/b.gguf"
    assert place.target.read_bytes() == data
    assert fetched(hub) == 11
    assert sorted(p.name for p in place.target.parent.iterdir()) == ["b.gguf"]
    assert place.target.stat().st_mode & 0o077 == 0


def test_several_shards_and_an_empty_file(hub: Hub, tmp_path: Path) -> None:
    files = {f"m-{n:05d}-of-00004.gguf": some_bytes(SIZE + n, n) for n in range(1, 5)}
    files["empty.gguf"] = b""
    transfer = make_transfer(hub, tmp_path, publish(hub, files))
    transfer.run()
    assert contents(transfer.places) == files


@pytest.mark.parametrize("kind", [k for k in MIXED if k != "flip"])
def test_each_fault_is_survived(hub: Hub, tmp_path: Path, kind: Kind) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    hub.faults.add(kind, after=CHUNK // 2, times=2)
    transfer = make_transfer(hub, tmp_path, files)
    transfer.run()
    assert contents(transfer.places) == {"m.gguf": data}
    assert hub.faults.left == 0


def test_slow_bytes_are_a_reason_to_connect_again(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = some_bytes(2 * CHUNK)
    files = publish(hub, {"m.gguf": data})
    hub.faults.add("slow", rate=1000)
    transfer = make_transfer(hub, tmp_path, files, connections=1)
    transfer.run()
    assert contents(transfer.places) == {"m.gguf": data}


@pytest.mark.allow_logs("the checksum differs")
def test_fifty_cuts_with_all_faults_mixed_cost_at_most_two_chunks_each(
    hub: Hub, tmp_path: Path
) -> None:
    dice = random.Random(20261124)
    data = {
        "m-00001-of-00002.gguf": some_bytes(40 * CHUNK, 1),
        "m-00002-of-00002.gguf": some_bytes(30 * CHUNK + 7, 2),
    }
    files = publish(hub, data)
    for _ in range(50):
        hub.faults.add("cut", after=dice.randrange(CHUNK))
    hub.faults.mix(dice, 50)
    transfer = make_transfer(hub, tmp_path, files)
    transfer.run()
    assert contents(transfer.places) == data
    cuts = sum(f.kind == "cut" for f in hub.faults.happened)
    assert cuts >= 50
    again = transfer.control.received_bytes - sum(map(len, data.values()))
    assert again <= 2 * CHUNK * cuts


def test_a_damaged_chunk_is_caught_at_once_where_the_server_sends_its_digest(
    hub: Hub, tmp_path: Path
) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    hub.sends_digests = True
    hub.faults.add("flip", after=777)
    transfer = make_transfer(hub, tmp_path, files)
    transfer.run()
    assert contents(transfer.places) == {"m.gguf": data}
    assert fetched(hub) == 12
    assert transfer.control.refetched == 1


@pytest.mark.allow_logs("the checksum differs")
def test_a_bit_flipped_on_the_way_is_found_by_reading_again(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    hub.faults.add("flip", after=777)
    transfer = make_transfer(hub, tmp_path, files, connections=1)
    transfer.run()
    assert contents(transfer.places) == {"m.gguf": data}
    assert transfer.control.refetched == 1, "the first chunk was the bad one"


@pytest.mark.allow_logs("the checksum differs")
def test_a_hundred_flipped_bits_cost_one_chunk_each(hub: Hub, tmp_path: Path) -> None:
    """Bits that change on disk (same size) between arriving and the check of the whole."""
    dice = random.Random(5)
    chunk = 4096
    data = some_bytes(20 * chunk)
    files = publish(hub, {"m.gguf": data})
    for number in range(100):
        models = tmp_path / str(number)
        transfer = make_transfer(hub, models, files, chunk_bytes=chunk)
        stop_before_end(hub, transfer, files[0])
        (place,) = transfer.places
        flip_bit(place, dice)
        before = fetched(hub)
        again = make_transfer(hub, models, files, chunk_bytes=chunk)
        again.run()
        assert place.target.read_bytes() == data
        assert again.control.refetched == 1
        assert fetched(hub) - before == 2, "the last chunk, and the flipped one again"


def stop_before_end(hub: Hub, transfer: Transfer, file: RepoFile) -> None:
    """Let everything but the last chunk arrive, then stop."""
    hub.faults.add("stall", after=0, path=file.sha256 or "")
    held = transfer.places[0]
    runner = run_in_thread(transfer)
    chunk = transfer.options.chunk_bytes
    wait(lambda: transfer.snapshot().done_bytes == file.bytes - chunk)
    transfer.stop()
    assert isinstance(runner.join_result(), StoppedError)
    assert not held.is_complete()


def flip_bit(place: Place, dice: random.Random) -> None:
    known, subject = peek(place.journal)
    assert subject is not None
    whole = [i for i, what in known.items() if what.bytes == subject.chunk_bytes]
    at = dice.choice(whole) * subject.chunk_bytes + dice.randrange(subject.chunk_bytes)
    with place.part.open("r+b") as file:
        old = os.pread(file.fileno(), 1, at)[0]
        os.pwrite(file.fileno(), bytes([old ^ (1 << dice.randrange(8))]), at)


class Runner(threading.Thread):
    def __init__(self, transfer: Transfer) -> None:
        super().__init__(name="transfer")
        self._transfer = transfer
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._transfer.run()
        except (AppError, StoppedError) as error:
            self.error = error

    def join_result(self) -> BaseException | None:
        self.join(20)
        assert not self.is_alive()
        return self.error


def run_in_thread(transfer: Transfer) -> Runner:
    runner = Runner(transfer)
    runner.start()
    return runner


def wait(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "never became true"
        threading.Event().wait(0.002)


def test_a_stopped_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    hub.faults.add("stall", after=CHUNK // 2, times=3)
    first = make_transfer(hub, tmp_path, files, stall_s=30)
    runner = run_in_thread(first)
    wait(lambda: len(hub.faults.happened) == 3)
    first.stop()
    assert isinstance(runner.join_result(), StoppedError)
    (place,) = first.places
    assert not place.target.exists()
    kept = place.done_bytes()
    second = make_transfer(hub, tmp_path, files)
    second.run()
    assert contents(second.places) == {"m.gguf": data}
    assert second.control.received_bytes == SIZE - kept


def test_the_token_stays_with_the_hub(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(CHUNK)
    repo = HubRepo(REPO, {"m.gguf": data}, gated="auto", allowed=frozenset({"hf_good"}))
    hub.add(repo)
    files = tuple(RepoFile(p, f.size, f.sha256) for p, f in repo.stored.items())
    make_transfer(hub, tmp_path, files, token="hf_good").run()
    assert {s.authorization for s in hub.seen("hub")} == {"Bearer hf_good"}
    assert {s.authorization for s in hub.seen("cdn")} == {""}


def test_a_redirect_to_a_foreign_host_never_carries_the_token(hub: Hub, tmp_path: Path) -> None:
    files = publish(hub, {"m.gguf": some_bytes(CHUNK)})
    hub.faults.add("leak", host="hub", path="resolve")
    with pytest.raises(AppError) as gone:
        make_transfer(hub, tmp_path, files, token="hf_good").run()
    assert gone.value.code == "not_found"
    seen = hub.seen("foreign")
    assert seen
    assert all(s.authorization == "" and "hf_good" not in s.path for s in seen)


@pytest.mark.parametrize(
    ("token", "refused", "reason"),
    [
        (None, False, "no_token"),
        ("hf_good", False, "not_accepted"),
        ("hf_good", True, "denied"),
    ],
)
def test_three_ways_of_no_access(
    hub: Hub, tmp_path: Path, token: str | None, refused: bool, reason: str
) -> None:
    repo = HubRepo(
        REPO,
        {"m.gguf": b"x" * 10},
        gated="manual",
        refused=frozenset({"hf_good"}) if refused else frozenset(),
    )
    hub.add(repo)
    files = tuple(RepoFile(p, f.size, f.sha256) for p, f in repo.stored.items())
    with pytest.raises(AppError) as error:
        make_transfer(hub, tmp_path, files, token=token).run()
    assert error.value.detail["reason"] == reason
    assert str(error.value.detail["link"]).startswith("https://huggingface.co/")
    assert error.value.hint


def test_a_new_version_on_the_hub_is_noticed(hub: Hub, tmp_path: Path) -> None:
    files = publish(hub, {"m.gguf": some_bytes(SIZE)})
    publish(hub, {"m.gguf": some_bytes(SIZE, 2)})
    with pytest.raises(AppError) as error:
        make_transfer(hub, tmp_path, files).run()
    assert error.value.code == "conflict"
    assert "changed on the hub" in error.value.message
    fresh = publish(hub, {"m.gguf": some_bytes(SIZE, 2)})
    again = make_transfer(hub, tmp_path, fresh)
    again.run()
    assert contents(again.places) == {"m.gguf": some_bytes(SIZE, 2)}


@pytest.mark.allow_logs("the checksum differs")
def test_a_file_that_is_damaged_on_the_hub_itself_never_gets_its_name(
    hub: Hub, tmp_path: Path
) -> None:
    (file,) = publish(hub, {"m.gguf": some_bytes(2 * CHUNK)})
    wrong = RepoFile(file.path, file.bytes, "0" * 64)
    repo = hub.repos[REPO]
    repo.stored["m.gguf"] = replace(repo.stored["m.gguf"], sha256="0" * 64)
    transfer = make_transfer(hub, tmp_path, (wrong,))
    with pytest.raises(AppError) as error:
        transfer.run()
    assert error.value.code == "download_corrupt"
    assert not transfer.places[0].target.exists()


def test_two_downloads_of_one_file_have_one_winner(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    hub.faults.add("stall", times=3)
    first = make_transfer(hub, tmp_path, files, stall_s=30)
    runner = run_in_thread(first)
    wait(lambda: len(hub.faults.happened) == 3)
    with pytest.raises(AppError) as second:
        make_transfer(hub, tmp_path, files).run()
    assert second.value.code == "conflict"
    first.stop()
    runner.join_result()


def test_a_full_disk_keeps_what_came(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    real = shelf.write_at
    written = 0

    def fills_up(descriptor: int, offset: int, pieces: list[bytes]) -> None:
        nonlocal written
        written += sum(map(len, pieces))
        if written > SIZE // 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor, offset, pieces)

    monkeypatch.setattr(shelf, "write_at", fills_up)
    transfer = make_transfer(hub, tmp_path, files)
    with pytest.raises(AppError) as full:
        transfer.run()
    assert full.value.code == "disk_full"
    monkeypatch.setattr(shelf, "write_at", real)
    again = make_transfer(hub, tmp_path, files)
    kept = again.places[0].done_bytes()
    assert kept > SIZE // 4
    again.run()
    assert contents(again.places) == {"m.gguf": data}
    assert again.control.received_bytes == SIZE - kept


def test_a_bandwidth_limit_holds(hub: Hub, tmp_path: Path) -> None:
    files = publish(hub, {"m.gguf": some_bytes(4 * CHUNK)})
    transfer = make_transfer(hub, tmp_path, files)
    transfer.control.throttle.bytes_per_s = 8 * CHUNK
    began = time.monotonic()
    transfer.run()
    assert 0.4 <= time.monotonic() - began < 3


def test_a_folder_that_vanishes_is_named_and_the_rest_is_kept(hub: Hub, tmp_path: Path) -> None:
    data = some_bytes(SIZE)
    files = publish(hub, {"m.gguf": data})
    models = tmp_path / "disk"
    hub.faults.add("stall", after=CHUNK // 2, times=3)
    transfer = make_transfer(hub, models, files, stall_s=2)
    runner = run_in_thread(transfer)
    wait(lambda: len(hub.faults.happened) == 3)
    models.rename(tmp_path / "unplugged")
    error = runner.join_result()
    assert isinstance(error, AppError)
    assert error.code == "not_found"
    assert "is gone" in error.message
    (tmp_path / "unplugged").rename(models)
    again = make_transfer(hub, models, files)
    assert again.places[0].done_bytes() == SIZE
    again.run()
    assert contents(again.places) == {"m.gguf": data}


@pytest.mark.allow_logs("the checksum differs")
def test_a_flip_on_the_way_is_found_by_reading_the_file_once_more_at_most(
    hub: Hub, tmp_path: Path
) -> None:
    """Only the hub's SHA-256 of the whole tells; the chunk that differs is the one replaced."""
    dice = random.Random(9)
    chunks, chunk = 8, 4096
    data = some_bytes(chunks * chunk)
    files = publish(hub, {"m.gguf": data})
    for number in range(10):
        hub.faults.mix(dice, 1, ("flip",), share=0.3)
        transfer = make_transfer(hub, tmp_path / str(number), files, chunk_bytes=chunk)
        transfer.run()
        assert contents(transfer.places) == {"m.gguf": data}
        flips = len(hub.faults.happened)
        hub.faults.happened.clear()
        hub.faults.clear()
        assert transfer.control.refetched == flips
        assert bool(flips) <= transfer.control.reread <= chunks * flips
    assert list(tmp_path.rglob("*.again*")) == []


@pytest.mark.allow_logs("the checksum differs")
@pytest.mark.parametrize("with_digests", [True, False])
def test_a_hundred_bits_flipped_on_the_way_are_caught_and_cost_a_chunk_each(
    hub: Hub, tmp_path: Path, with_digests: bool
) -> None:
    chunks, chunk = 400, 512
    data = some_bytes(chunks * chunk)
    files = publish(hub, {"m.gguf": data})
    hub.sends_digests = with_digests
    hub.faults.mix(random.Random(10), 100, ("flip",), share=0.4)
    transfer = make_transfer(hub, tmp_path, files, chunk_bytes=chunk)
    transfer.run()
    assert contents(transfer.places) == {"m.gguf": data}
    assert hub.faults.left == 0
    assert transfer.control.refetched == 100
    if with_digests:
        assert fetched(hub) == chunks + 100
        assert transfer.control.reread == 0
    else:
        assert fetched(hub) == chunks + transfer.control.reread
        assert transfer.control.reread <= chunks
