"""A server's management board over Redfish: HTTPS, a host and an account the person entered.

Boards carry certificates that nobody signed. Such a one is refused until the person has compared
its fingerprint; then exactly that certificate is trusted, before any password is sent.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from freehold.errors import AppError
from freehold.power.plugs import MAX_ANSWER_BYTES, read_number

ROOT: Final = "/redfish/v1"
TIMEOUT_S: Final = 6.0
MAX_CHASSIS: Final = 8
# Where boards put the power of the whole machine, by age of the standard.
POWER_PATHS: Final[tuple[tuple[str, tuple[str | int, ...]], ...]] = (
    ("/EnvironmentMetrics", ("PowerWatts", "Reading")),
    ("/Power", ("PowerControl", 0, "PowerConsumedWatts")),
)


@dataclass(frozen=True, slots=True)
class Board:
    """Where a board is, who asks, and the certificate that was compared ("" for a signed one)."""

    host: str
    user: str
    password: str = field(repr=False)
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class PowerPlace:
    """The address and the field that tell a machine's power."""

    path: str
    keys: tuple[str | int, ...]


def connect(board: Board) -> httpx.Client:
    """Return a client that sends the password to this board alone."""
    return httpx.Client(
        base_url=f"https://{board.host}",
        auth=(board.user, board.password),
        verify=_trust(board.certificate),
        timeout=TIMEOUT_S,
        follow_redirects=False,
        trust_env=False,
    )


def find_power(client: httpx.Client) -> tuple[PowerPlace, float]:
    """Return where the board tells the power, and the power now.

    Raises: AppError saying what the person can do: certificate, account, address or board.
    """
    listed = _get(client, f"{ROOT}/Chassis")
    members = listed.get("Members") if isinstance(listed, dict) else None
    paths = [m.get("@odata.id") for m in members or [] if isinstance(m, dict)]
    for path in [p for p in paths if isinstance(p, str) and p.startswith(ROOT)][:MAX_CHASSIS]:
        for suffix, keys in POWER_PATHS:
            place = PowerPlace(path.rstrip("/") + suffix, keys)
            try:
                watts = read_number(_get(client, place.path), *keys)
            except AppError as error:
                if error.code == "not_found":
                    continue
                raise
            if watts is not None:
                return place, watts
    raise AppError(
        "not_supported",
        "The board answers, but tells no power of the machine.",
        "Look in its own pages whether it measures power; a smart plug always does.",
    )


def read_power(client: httpx.Client, place: PowerPlace) -> float | None:
    """Return the power now; None if the board is away, refuses or answers rubbish."""
    try:
        return read_number(_get(client, place.path), *place.keys)
    except AppError:
        return None


def fetch_certificate(host: str) -> str:
    """Return the certificate a board shows, without sending it anything.

    Raises: AppError `network_failed`.
    """
    name, port = _address(host)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((name, port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        raise _away(host) from error
    if not shown:
        raise _away(host)
    return ssl.DER_cert_to_PEM_cert(shown)


def fingerprint(certificate: str) -> str:
    """Return a certificate's SHA-256 as boards show it, `AB:CD:…`."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _trust(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate:
        # Exactly this one, whatever name it carries: boards are made before they have an address.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=certificate)
    return context


def _get(client: httpx.Client, path: str) -> Any:
    host = client.base_url.netloc.decode()
    try:
        with client.stream("GET", path) as response:
            status = response.status_code
            body = b""
            if status == 200:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > 16 * MAX_ANSWER_BYTES:
                        raise _rubbish(host)
    except httpx.HTTPError as error:
        if _is_untrusted(error):
            raise untrusted(host) from error
        raise _away(host) from error
    if status in (401, 403):
        raise AppError(
            "unauthorized",
            f"{host} does not accept this user and password.",
            "Use an account of the board that may read sensors; a read-only one is enough.",
            detail={"param": "password"},
        )
    if status == 404:
        raise AppError("not_found", f"{host} has no {path}.", "It may be no Redfish board.")
    if status != 200:
        raise _rubbish(host)
    try:
        return httpx.Response(200, content=body).json()
    except ValueError as error:
        raise _rubbish(host) from error


def untrusted(host: str, shown: str = "") -> AppError:
    """Return the refusal of a certificate nobody signed; `shown` is its fingerprint."""
    return AppError(
        "network_failed",
        f"The certificate of {host} is not signed by anyone this machine trusts.",
        "Compare its fingerprint with the one the board's own page shows, then trust it.",
        detail={"param": "fingerprint", "fingerprint": shown},
    )


def _is_untrusted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        seen = seen.__cause__ or seen.__context__
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _away(host: str) -> AppError:
    return AppError(
        "network_failed",
        f"{host} does not answer over HTTPS.",
        "Check the address, and that this machine can reach the board's network.",
        retryable=True,
        detail={"param": "host"},
    )


def _rubbish(host: str) -> AppError:
    return AppError(
        "network_failed",
        f"{host} answers, but not as a Redfish board does.",
        "Check the address; the board's firmware may be too old for Redfish.",
        detail={"param": "host"},
    )


def _address(host: str) -> tuple[str, int]:
    url = httpx.URL(f"https://{host}")
    return url.host, url.port or 443
