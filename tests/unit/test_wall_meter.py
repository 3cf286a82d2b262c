"""Management boards as meters: Redfish over HTTPS, and ipmitool; sound, wrong, slow and refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles.management_board import (
    IPMI_ANSWER,
    PASSWORD,
    USER,
    ManagementBoard,
    write_certificate,
    write_ipmitool,
)
from freehold.errors import AppError
from freehold.power import ipmi, redfish
from freehold.power.ipmi import ask_ipmi, parse_ipmi
from freehold.power.polled import PolledSource
from freehold.power.readings import Meter
from freehold.power.redfish import Board, connect, fetch_certificate, find_power, fingerprint
from freehold.server.wall_meter import WallMeters
from freehold.wire_power import Plug, PlugTrial


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("board"))


@pytest.fixture
def board(certificate: Path) -> Iterator[ManagementBoard]:
    with ManagementBoard(certificate) as board:
        yield board


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[WallMeters]:
    meters = WallMeters(tmp_path / "config")
    yield meters
    meters.close()


def trial(board: ManagementBoard, *, trust: bool = True, **changes: str) -> PlugTrial:
    shown = fingerprint(fetch_certificate(board.host)) if trust else ""
    values = {"host": board.host, "user": USER, "password": PASSWORD, "fingerprint": shown}
    return PlugTrial(kind="redfish", **{**values, **changes})  # type: ignore[arg-type]


def refusal(meters: WallMeters, wanted: PlugTrial) -> AppError:
    with pytest.raises(AppError) as refused:
        meters.try_out(wanted)
    assert refused.value.hint
    assert PASSWORD not in refused.value.sentence
    return refused.value


def test_a_strange_certificate_is_refused_before_any_password(
    meters: WallMeters, board: ManagementBoard
) -> None:
    error = refusal(meters, trial(board, trust=False))
    assert "not signed by anyone" in error.message
    assert error.detail["fingerprint"] == fingerprint(fetch_certificate(board.host))
    assert board.passwords == []


def test_another_certificate_than_the_one_compared_is_refused(
    meters: WallMeters, board: ManagementBoard, tmp_path: Path
) -> None:
    wrong = fingerprint(write_certificate(tmp_path, "other").read_text().split("KEY-----\n", 2)[2])
    error = refusal(meters, trial(board, fingerprint=wrong))
    assert error.detail["fingerprint"] != wrong
    assert board.passwords == []


def test_a_board_that_shows_another_certificate_later_gets_no_password(
    meters: WallMeters, board: ManagementBoard, tmp_path: Path
) -> None:
    """Somebody else at its address: what was trusted is not what answers now."""
    plug = meters.try_out(trial(board))
    asked = len(board.passwords)
    other = write_certificate(tmp_path, "other").read_text()
    kept = tmp_path / "config" / "board_certificate.pem"
    kept.write_text(other[other.index("-----BEGIN CERT") :])
    assert meters.source(plug).read().watts is None
    with (
        pytest.raises(AppError, match="not signed by anyone"),
        connect(Board(board.host, USER, PASSWORD, kept.read_text())) as client,
    ):
        find_power(client)
    assert len(board.passwords) == asked


@pytest.mark.parametrize("is_old", [False, True])
def test_a_board_is_tried_kept_and_read(
    meters: WallMeters, board: ManagementBoard, tmp_path: Path, is_old: bool
) -> None:
    board.is_old = is_old
    plug = meters.try_out(trial(board))
    assert plug.user == USER
    kept = tmp_path / "config" / "board_password"
    assert kept.read_text() == PASSWORD  # there is no key ring in tests
    assert kept.stat().st_mode & 0o777 == 0o600
    source = meters.source(plug)
    assert source.meter.level == "wall"
    wait_until(lambda: source.read().watts == 431.0)
    meters.forget(plug)
    assert not kept.exists()


def test_a_wrong_account_and_a_board_without_power_are_named(
    meters: WallMeters, board: ManagementBoard
) -> None:
    assert refusal(meters, trial(board, password="wrong")).code == "unauthorized"
    board.has_power = False
    assert "tells no power" in refusal(meters, trial(board)).message


@pytest.mark.parametrize(
    "garbage", [b"<html>log in</html>", b"{}", b"[1]", b"null", b"9" * 2_000_000]
)
def test_garbage_is_no_power(meters: WallMeters, board: ManagementBoard, garbage: bytes) -> None:
    wanted = trial(board)
    board.garbage = garbage
    assert refusal(meters, wanted).code in ("network_failed", "not_supported")


def test_a_board_that_is_away_is_named(meters: WallMeters, certificate: Path) -> None:
    with ManagementBoard(certificate) as board:
        wanted = trial(board)
    assert "does not answer over HTTPS" in refusal(meters, wanted).message
    away = PlugTrial(kind="redfish", host="a/b", user="u", password="p")
    assert refusal(meters, away).code == "invalid_request"


def test_a_slow_board_times_out_and_holds_nobody_up(
    meters: WallMeters, board: ManagementBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = meters.try_out(trial(board))
    board.hold = threading.Event()
    monkeypatch.setattr(redfish, "TIMEOUT_S", 0.2)
    source = meters.source(plug)
    asked = len(board.requests)
    assert source.read().watts is None  # at once: the question runs beside
    wait_until(lambda: len(board.requests) > asked)
    assert "does not answer" in refusal(meters, trial(board)).message


# --- polling ---------------------------------------------------------------------------------


def test_an_answer_is_used_until_it_is_too_old() -> None:
    now = [0.0]
    answers = [100.0, None, None, None]
    source = PolledSource(
        Meter("slow", "wall", 0.05, 5000),
        lambda: answers.pop(0) if answers else None,
        every_s=4.0,
        clock=lambda: now[0],
        spawn=lambda work: work(),
    )
    told = []
    for second in range(14):
        now[0] = float(second)
        told.append(source.read().watts)
    assert told == [100.0] * 11 + [None] * 3


@pytest.mark.allow_logs("a slow meter failed")
def test_a_meter_that_breaks_is_a_gap_and_is_asked_again() -> None:
    asked: list[int] = []

    def ask() -> float:
        asked.append(1)
        raise ZeroDivisionError

    now = [0.0]
    source = PolledSource(
        Meter("slow", "wall", 0.05, 5000), ask, clock=lambda: now[0], spawn=lambda work: work()
    )
    for second in (0.0, 1.0, 5.0):
        now[0] = second
        assert source.read().watts is None
    assert len(asked) == 2


# --- ipmitool --------------------------------------------------------------------------------


def test_ipmitool_is_asked_on_this_machine(tmp_path: Path) -> None:
    tool = write_ipmitool(tmp_path, IPMI_ANSWER)
    assert ask_ipmi(str(tool)) == 220.0
    meters = WallMeters(tmp_path / "config", lambda: ask_ipmi(str(tool)))
    try:
        plug = meters.try_out(PlugTrial(kind="ipmi"))
        assert plug == Plug(kind="ipmi")
        source = meters.source(plug)
        wait_until(lambda: source.read().watts == 220.0)
    finally:
        meters.close()


@pytest.mark.parametrize(
    ("says", "status", "code", "named"),
    [
        ("Could not open device at /dev/ipmi0 or /dev/ipmi/0", 1, "no_permission", "may not open"),
        ("Permission denied", 1, "no_permission", "never asks for root"),
        ("    Instantaneous power reading:      0 Watts", 0, "not_supported", "tells no power"),
        ("Invalid command", 1, "not_supported", "tells no power"),
        ("", 0, "not_supported", "tells no power"),
    ],
)
def test_what_ipmitool_refuses_is_said(
    tmp_path: Path, says: str, status: int, code: str, named: str
) -> None:
    with pytest.raises(AppError) as refused:
        ask_ipmi(str(write_ipmitool(tmp_path, says, status)))
    assert refused.value.code == code
    assert named in refused.value.sentence
    assert "sudo" not in refused.value.sentence


def test_a_missing_and_a_hanging_ipmitool_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(AppError, match="not on this machine"):
        ask_ipmi()
    monkeypatch.setattr(ipmi, "TIMEOUT_S", 0.3)
    with pytest.raises(AppError, match="did not answer within"):
        ask_ipmi(str(write_ipmitool(tmp_path, IPMI_ANSWER, wait_s=5)))
    with pytest.raises(AppError, match="cannot be run"):
        ask_ipmi(str(tmp_path))


@given(st.text(max_size=300))
def test_any_words_of_ipmitool_are_a_power_or_a_reason(said: str) -> None:
    try:
        watts = parse_ipmi(said)
    except AppError:
        return
    assert 0 < watts <= ipmi.MAX_WATTS
