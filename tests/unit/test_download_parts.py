"""The pure parts of the downloader: ranges, retry, journal, places, addresses, fit."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.commands.pull import progress_words, split_name
from freehold.commands.verify import named_checksum
from freehold.errors import AppError
from freehold.library.download.fetching import Throttle
from freehold.library.download.journal import Arrived, Journal, Subject, parse, peek
from freehold.library.download.origin import TryAgainError, check_target, is_private, same_origin
from freehold.library.download.places import check_repository, check_room, make_folder, place_files
from freehold.library.download.ranges import chunk_at, chunk_count, room_needed
from freehold.library.download.retry import SpeedMeter, StallWatch, backoff_s, retry_after_s
from freehold.library.fit import Room, estimate_fit, recommend
from freehold.library.hub import without_front_matter
from freehold.library.hub_token import TokenStore
from freehold.library.variants import RepoFile
from freehold.wire import Download

SUBJECT = Subject(bytes=100, sha256="a" * 64, chunk_bytes=40)


@given(size=st.integers(0, 10_000), chunk=st.integers(1, 700))
def test_chunks_cover_a_file_once(size: int, chunk: int) -> None:
    chunks = [chunk_at(i, size, chunk) for i in range(chunk_count(size, chunk))]
    assert [c.start for c in chunks] == [0, *[c.end for c in chunks[:-1]]][: len(chunks)]
    assert sum(c.bytes for c in chunks) == size
    assert all(0 < c.bytes <= chunk for c in chunks)
    with pytest.raises(ValueError, match="no chunk"):
        chunk_at(len(chunks), size, chunk)


@given(failures=st.integers(1, 10_000), seed=st.integers(0, 99))
def test_waits_are_bounded_and_grow(failures: int, seed: int) -> None:
    wait_s = backoff_s(failures, random.Random(seed))
    assert 0 < wait_s <= 60
    if failures > 12:
        assert wait_s >= 30


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999", None),
        ("99999999", 3600),
        ("-5", None),
        ("soon", None),
        ("Tue, 24 Nov 2026 10:00:30 GMT", 30),
        ("Tue, 24 Nov 2020 10:00:30 GMT", 0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    now = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
    assert retry_after_s(header, now) == seconds


def test_a_slow_connection_is_noticed_and_a_limited_one_is_not() -> None:
    watch = StallWatch(0.0, window_s=10, least_bytes_per_s=1000)
    assert not watch.take(500, 5.0)
    assert watch.take(500, 10.5)
    assert not watch.take(50_000, 21.0)
    limited = StallWatch(0.0, window_s=10, least_bytes_per_s=1000)
    assert not limited.take(500, 10.5, waited_s=10.0)


def test_speed_is_of_the_last_seconds() -> None:
    meter = SpeedMeter(window_s=5)
    assert meter.note(0, 0.0) == 0
    for second in range(1, 20):
        speed = meter.note(second * 100, float(second))
    assert speed == 100
    assert meter.note(19 * 100, 60.0) < 10
    assert meter.note(5, 61.0) == 0, "counting anew is no negative speed"


def test_a_limit_holds_for_all_connections_together() -> None:
    throttle = Throttle(1000)
    waits = [throttle.reserve(500, 0.0) for _ in range(4)]
    assert waits == [0.5, 1.0, 1.5, 2.0]
    throttle.bytes_per_s = 0
    assert throttle.reserve(10**9, 0.0) == 0


# --- the journal -----------------------------------------------------------------------------


def test_what_the_journal_notes_is_known_again(tmp_path: Path) -> None:
    path = tmp_path / "f.part.journal"
    journal = Journal.open(path, SUBJECT)
    journal.add(0, Arrived(1, 40))
    journal.add(1, Arrived(2, 10))
    journal.add(1, Arrived(3, 40))
    with pytest.raises(AppError) as second:
        Journal.open(path, SUBJECT)
    assert second.value.code == "conflict"
    journal.close()
    again = Journal.open(path, SUBJECT)
    assert again.arrived == {0: (1, 40), 1: (3, 40)}
    again.forget({0})
    again.close()
    assert peek(path) == ({1: (3, 40)}, SUBJECT)
    other = Journal.open(path, Subject(bytes=100, sha256="b" * 64, chunk_bytes=40))
    assert other.arrived == {}
    other.delete()
    assert not path.exists()


@given(cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_a_torn_journal_never_claims_what_it_did_not_note(cut: int, junk: bytes) -> None:
    lines = [b'{"version":1,"bytes":100,"sha256":"' + b"a" * 64 + b'","chunk_bytes":40}']
    lines += [b"%d %08x 40" % (n, n * 7) for n in range(8)]
    data = b"\n".join(lines) + b"\n"
    known, subject, length = parse(data[:cut] + junk)
    assert length <= len(data[:cut] + junk)
    if junk == b"":
        assert all(known[n] == (n * 7, 40) for n in known)
        assert subject in (None, SUBJECT)


# --- names and places ------------------------------------------------------------------------

EVIL = st.sampled_from(
    [
        "..",
        ".",
        "",
        "/",
        "\\",
        "\0",
        "a" * 300,
        "con",
        "nul.gguf",
        "C:",
        "\\\\host\\share",
        "x ",
        "x.",
    ]
)


@given(parts=st.lists(EVIL | st.text(max_size=12), min_size=1, max_size=5))
def test_every_write_stays_below_the_models_folder(parts: list[str]) -> None:
    models = Path("/models")
    name = "/".join(parts)
    try:
        (place,) = place_files(models, "ada/x", (RepoFile(name, 1, None),))
    except AppError:
        return  # refused, which is always safe
    for path in (place.target, place.part, place.journal):
        assert path.is_relative_to(models / "ada" / "x")
        assert ".." not in path.parts
        assert "\0" not in str(path)
        assert len(path.name.encode()) <= 255


@given(name=st.text(max_size=30) | st.lists(EVIL, min_size=1, max_size=3).map("/".join))
def test_a_repository_name_is_two_plain_parts(name: str) -> None:
    try:
        checked = check_repository(name)
    except AppError:
        return  # refused, which is always safe
    owner, repository = checked.split("/")
    assert owner not in ("..", ".")
    assert repository not in ("..", ".")
    assert checked.isascii()


def test_a_digest_is_never_used_unless_it_is_one(tmp_path: Path) -> None:
    for digest in ("../../x", "a" * 63, "A" * 64, "a" * 64 + "\n"):
        with pytest.raises(AppError):
            place_files(tmp_path, "ada/x", (RepoFile("m.gguf", 1, digest),))


def test_a_link_inside_the_models_folder_leads_nowhere_else(tmp_path: Path) -> None:
    models, outside = tmp_path / "models", tmp_path / "outside"
    models.mkdir()
    outside.mkdir()
    (models / "ada").symlink_to(outside)
    (place,) = place_files(models, "ada/x", (RepoFile("m.gguf", 1, None),))
    with pytest.raises(AppError) as refused:
        make_folder(models, place)
    assert refused.value.code == "invalid_request"


def test_room_is_asked_for_with_a_tenth_to_spare(tmp_path: Path) -> None:
    assert room_needed(1000) == 1100
    check_room(tmp_path / "not" / "there", 1, "")
    with pytest.raises(AppError) as full:
        check_room(tmp_path, 10**18, "Q4_0 (4 GB)")
    assert full.value.code == "disk_full"
    assert "Q4_0 (4 GB)" in full.value.hint


# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://huggingface.co/x", True),
        ("https://huggingface.co:443/x", True),
        ("http://huggingface.co/x", False),
        ("https://huggingface.co.evil.com/x", False),
        ("https://evil.com/?https://huggingface.co/", False),
        ("https://huggingface.co@evil.com/", False),
        ("https://huggingface.co:8443/", False),
    ],
)
def test_the_token_goes_to_one_origin(url: str, same: bool) -> None:
    assert same_origin(url, "https://huggingface.co") == same


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest",
        "https://0.0.0.0/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fc00::1]/x",
        "ftp://8.8.8.8/x",
        "file:///etc/passwd",
        "https:///x",
    ],
)
def test_no_redirect_leads_into_the_private_network_or_out_of_https(url: str) -> None:
    with pytest.raises(AppError) as refused:
        check_target(url, "https://1.1.1.1")
    assert refused.value.code == "network_failed"


def test_a_public_address_is_followed_and_a_local_hub_may_stay_local() -> None:
    check_target("https://8.8.8.8/x", "https://1.1.1.1")
    check_target("http://127.0.0.1:99/x", "http://127.0.0.1:98")
    assert is_private("127.0.0.1")
    assert not is_private("1.1.1.1")
    with pytest.raises(TryAgainError):
        is_private("a name that is none")


# --- fit, names, words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gb", "gpu", "ram", "verdict"),
    [
        (20, 24, 60, "gpu"),
        (24, 24, 60, "gpu+ram"),
        (20, 0, 60, "gpu+ram"),
        (594, 80, 540, "gpu+ram"),
        (1090, 80, 540, "disk"),
        (594, 0, 16, "no"),
    ],
)
def test_fit_from_sizes(gb: int, gpu: int, ram: int, verdict: str) -> None:
    fit = estimate_fit(gb * 10**9, Room(gpu * 10**9, ram * 10**9))
    assert fit.verdict == verdict
    assert fit.reason
    assert fit.level == "estimated"


@given(small=st.integers(1, 10**13), more=st.integers(0, 10**13), gpu=st.integers(0, 10**12))
def test_a_larger_model_never_fits_better(small: int, more: int, gpu: int) -> None:
    order = ("gpu", "gpu+ram", "disk", "no")
    room = Room(gpu, 64 * 10**9)
    first, second = estimate_fit(small, room), estimate_fit(small + more, room)
    assert order.index(first.verdict) <= order.index(second.verdict)


def test_the_largest_that_fits_best_is_recommended() -> None:
    room = Room(24 * 10**9, 64 * 10**9)
    sizes = [(name, gb * 10**9, estimate_fit(gb * 10**9, room)) for name, gb in
             (("Q2", 9), ("Q4", 18), ("Q8", 33), ("BF16", 900))]  # fmt: skip
    assert recommend(sizes) == "Q4"
    assert recommend(sizes[2:]) == "Q8"
    assert recommend(sizes[3:]) == ""


def test_names_on_the_command_line() -> None:
    assert split_name("ada/x:Q4_0") == ("ada/x", "Q4_0")
    assert split_name("https://huggingface.co/ada/x") == ("ada/x", "")
    assert split_name("hf.co/ada/x:Q8_0 ") == ("ada/x", "Q8_0")


def test_progress_in_words() -> None:
    download = Download(
        id="a", repository="b/c", variant="d", state="running", total_bytes=10**9,
        done_bytes=5 * 10**8, bytes_per_s=5e6, eta_s=100.0, note="The line broke; trying again.",
    )  # fmt: skip
    words = progress_words(download, 0.0)
    assert words.startswith("500 MB of 1.00 GB, 5.00 MB/s, 1 min 40 s left, done about ")
    assert words.endswith("The line broke; trying again.")


def test_files_named_after_their_hash_bring_their_checksum(tmp_path: Path) -> None:
    blob = tmp_path / ("b" * 64)
    blob.write_bytes(b"x")
    link = tmp_path / "m.gguf"
    link.symlink_to(blob)
    assert named_checksum(link).sha256 == "b" * 64
    ollama = tmp_path / f"sha256-{'c' * 64}"
    ollama.write_bytes(b"x")
    assert named_checksum(ollama).sha256 == "c" * 64
    plain = tmp_path / "plain.gguf"
    plain.write_bytes(b"x")
    assert named_checksum(plain).sha256 == ""


def test_a_card_is_shown_without_its_front_matter() -> None:
    assert without_front_matter("---\na: b\n---\n# Hi") == "# Hi"
    assert without_front_matter("# Hi") == "# Hi"
    assert without_front_matter("---\nnever closed") == "---\nnever closed"


def test_the_environment_presets_the_token_and_repr_hides_it(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "token", {"HF_TOKEN": "hf_secret"})
    token = store.read()
    assert (token.value, token.kept_in) == ("hf_secret", "environment")
    assert "hf_secret" not in repr(token)
    plain = TokenStore(tmp_path / "token", {})
    assert plain.read().kept_in == "none"
    assert plain.save("hf_abcdef").kept_in == "file"
    assert plain.read().value == "hf_abcdef"
    with pytest.raises(AppError):
        plain.save("not a token\n")
    plain.forget()
    assert plain.read().kept_in == "none"
