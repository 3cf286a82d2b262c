"""Meters that see the whole machine: plugs on the network, the management board, ipmitool.

A meter is tried before it is kept. The board's password goes into the key ring, or where there is
none into a private file; its certificate lies beside the settings.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import keyring
import keyring.errors

from freehold.errors import AppError
from freehold.power.ipmi import ask_ipmi
from freehold.power.plugs import PlugSource, check_host
from freehold.power.polled import PolledSource
from freehold.power.readings import Meter
from freehold.power.redfish import (
    Board,
    PowerPlace,
    connect,
    fetch_certificate,
    find_power,
    fingerprint,
    read_power,
    untrusted,
)
from freehold.power.sources import Source
from freehold.secrets import write_private
from freehold.wire_power import (
    Plug,
    PlugTrial,
)

log = logging.getLogger(__name__)

SERVICE: Final = "freehold"
BOARD_ERROR: Final = 0.05
BOARD_MAX_WATTS: Final = 50_000.0
# Boards average over a second or more themselves, and some take seconds to answer.
ASK_EVERY_S: Final = 4.0


class WallMeters:
    """Makes the source of the meter that is set, and tries one that is wanted."""

    def __init__(self, folder: Path, ask_tool: Callable[[], float] = ask_ipmi) -> None:
        self._folder = folder
        self._ask_tool = ask_tool
        self._http = httpx.Client(trust_env=False)
        self._boards: list[httpx.Client] = []

    def source(self, plug: Plug) -> Source:
        """Return the meter that is set. Nothing is asked yet."""
        if plug.kind == "ipmi":
            return self._polled("management board (ipmitool)", self._ask_quietly)
        if plug.kind == "redfish":
            return self._polled(f"management board at {plug.host}", self._board_asker(plug))
        return PlugSource(plug.kind, plug.host, self._http)

    def try_out(self, wanted: PlugTrial) -> Plug:
        """Ask a meter once and keep what it needs to be asked again; return it as it is stored.

        Raises: AppError saying what is wrong with address, account, certificate or rights.
        """
        plug = Plug(
            kind=wanted.kind,
            host=wanted.host.strip(),
            user=wanted.user.strip(),
            fingerprint=wanted.fingerprint.strip(),
        )
        if plug.kind == "ipmi":
            self._ask_tool()
            return Plug(kind="ipmi")
        check_host(plug.host)
        if plug.kind == "redfish":
            self._try_board(plug, wanted.password)
            return plug
        reading = PlugSource(plug.kind, plug.host, self._http).read()
        if reading.watts is None:
            raise AppError(
                "network_failed",
                f"{plug.host} does not answer as a {plug.kind} plug with a power meter does.",
                "Check the address, the kind and that this machine and the plug share a network.",
                retryable=True,
                detail={"param": "host"},
            )
        return plug

    def forget(self, plug: Plug | None) -> None:
        """Remove the password and certificate of a board that is no longer read."""
        if plug is None or plug.kind != "redfish":
            return
        with contextlib.suppress(keyring.errors.KeyringError):
            keyring.delete_password(SERVICE, _account(plug))
        self._password_file.unlink(missing_ok=True)
        self._certificate_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        for board in self._boards:
            board.close()

    # --- boards --------------------------------------------------------------------------

    @property
    def _password_file(self) -> Path:
        return self._folder / "board_password"

    @property
    def _certificate_file(self) -> Path:
        return self._folder / "board_certificate.pem"

    def _try_board(self, plug: Plug, password: str) -> None:
        certificate = ""
        if plug.fingerprint:
            certificate = fetch_certificate(plug.host)
            shown = fingerprint(certificate)
            if shown != plug.fingerprint.upper():
                raise untrusted(plug.host, shown)
        try:
            with connect(Board(plug.host, plug.user, password, certificate)) as client:
                find_power(client)
        except AppError as error:
            if error.detail.get("param") == "fingerprint":
                raise untrusted(plug.host, fingerprint(fetch_certificate(plug.host))) from error
            raise
        self._keep(plug, password, certificate)

    def _keep(self, plug: Plug, password: str, certificate: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if certificate:
            write_private(self._certificate_file, certificate)
        else:
            self._certificate_file.unlink(missing_ok=True)
        with contextlib.suppress(keyring.errors.KeyringError):
            keyring.set_password(SERVICE, _account(plug), password)
        if _from_keyring(plug) == password:
            self._password_file.unlink(missing_ok=True)
        else:
            log.info("there is no key ring; the board's password is kept in a private file")
            write_private(self._password_file, password)

    def _board_asker(self, plug: Plug) -> Callable[[], float | None]:
        """Return what asks a board; it connects at the first question."""
        client: httpx.Client | None = None
        place: PowerPlace | None = None

        def ask() -> float | None:
            nonlocal client, place
            try:
                if client is None:
                    client = connect(self._board(plug))
                    self._boards.append(client)
                if place is None:
                    place, watts = find_power(client)
                    return watts
            except AppError as error:
                log.info("the management board is not read: %s", error.message)
                return None
            return read_power(client, place)

        return ask

    def _board(self, plug: Plug) -> Board:
        certificate = ""
        if plug.fingerprint:
            certificate = _read_text(self._certificate_file)
        password = _from_keyring(plug) or _read_text(self._password_file)
        return Board(plug.host, plug.user, password, certificate)

    def _polled(self, name: str, ask: Callable[[], float | None]) -> Source:
        meter = Meter(name, "wall", BOARD_ERROR, BOARD_MAX_WATTS)
        return PolledSource(meter, ask, every_s=ASK_EVERY_S)

    def _ask_quietly(self) -> float | None:
        try:
            return self._ask_tool()
        except AppError as error:
            log.info("ipmitool tells no power: %s", error.message)
            return None


def _account(plug: Plug) -> str:
    return f"board {plug.user}@{plug.host}"


def _from_keyring(plug: Plug) -> str:
    try:
        return str(keyring.get_password(SERVICE, _account(plug)) or "")
    except keyring.errors.KeyringError:
        return ""


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
