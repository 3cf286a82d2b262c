"""Where a file's bytes are fetched from: the hub says, and its token stays with the hub.

A redirect to another host is followed without the token; one to an address inside the network is
not followed at all unless the hub itself is there.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import httpx
import truststore

from freehold.errors import AppError
from freehold.gguf.faults import quoted
from freehold.library.download.retry import retry_after_s
from freehold.library.download.wide_reads import widen
from freehold.library.hub_errors import refused_access
from freehold.library.variants import RepoFile

MOST_REDIRECTS: Final = 5
CONNECT_S: Final = 15.0
ACCEPTED: Final = (200, 206)
REDIRECTS: Final = (301, 302, 303, 307, 308)


class TryAgainError(Exception):
    """Something that may well work later; `wait_s` is what the server asked for."""

    def __init__(self, reason: str, *, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Address:
    """Where a file can be fetched now; signed ones last for minutes."""

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one revision, on one hub."""

    endpoint: str
    name: str
    revision: str
    token: Callable[[], str | None] = field(repr=False)


def make_client(connections: int, stall_s: float) -> httpx.Client:
    """Return a client with the system's certificates and proxies; it follows nothing by itself."""
    client = httpx.Client(
        verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        follow_redirects=False,
        timeout=httpx.Timeout(stall_s, connect=min(CONNECT_S, stall_s), pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=connections),
        headers={"User-Agent": "freehold", "Accept-Encoding": "identity"},
    )
    return widen(client)


class Origin:
    """Finds the address of a repository's files, and renews it."""

    def __init__(self, repository: Repository, client: httpx.Client) -> None:
        self._repository = repository
        self._client = client
        self._guard = threading.Lock()
        self._known: dict[str, Address] = {}

    def address(self, file: RepoFile) -> Address:
        """Return where `file` can be fetched.

        Raises: TryAgainError, or AppError where trying again is of no use.
        """
        with self._guard:
            known = self._known.get(file.path)
            if known is None:
                known = self._known[file.path] = self._find(file)
            return known

    def forget(self, file: RepoFile, address: Address) -> None:
        """Let the next `address` ask the hub again, unless somebody already did."""
        with self._guard:
            if self._known.get(file.path) == address:
                del self._known[file.path]

    def _find(self, file: RepoFile) -> Address:
        repository = self._repository
        url = (
            f"{repository.endpoint}/{quote(repository.name)}/resolve/"
            f"{quote(repository.revision, safe='')}/{quote(file.path)}"
        )
        for _ in range(MOST_REDIRECTS):
            headers = self._headers(url)
            try:
                response = self._client.head(url, headers=headers)
            except httpx.HTTPError as error:
                raise TryAgainError(describe(error)) from error
            if response.status_code in REDIRECTS and "location" in response.headers:
                self._check(file, response)
                target = urljoin(url, response.headers["location"])
                if not same_origin(target, repository.endpoint):
                    check_target(target, repository.endpoint)
                    return Address(target)
                url = target
                continue
            if response.status_code in ACCEPTED:
                if "x-repo-commit" not in response.headers and "etag" not in response.headers:
                    raise TryAgainError("something else than the hub answered (a sign-in page?)")
                self._check(file, response)
                return Address(url, headers)
            check_status(response, repository.name, has_token="authorization" in headers)
        raise TryAgainError("the hub redirects in a circle")

    def _headers(self, url: str) -> dict[str, str]:
        token = self._repository.token()
        if token and same_origin(url, self._repository.endpoint):
            return {"authorization": f"Bearer {token}"}
        return {}

    def _check(self, file: RepoFile, response: httpx.Response) -> None:
        """Raise when the hub now has another file under this name."""
        size = response.headers.get("x-linked-size", "")
        etag = response.headers.get("x-linked-etag", "").removeprefix("W/").strip('"')
        other_size = size.isdigit() and int(size) != file.bytes
        if other_size or (file.sha256 and len(etag) == 64 and etag != file.sha256):
            raise changed(file.path)


def changed(name: str) -> AppError:
    """Return the error for a file that is a new one on the hub since it was listed."""
    return AppError(
        "conflict",
        f"{quoted(name, 120)} has changed on the hub since this download began.",
        "Remove this download and start it again to get the new version.",
    )


def check_status(response: httpx.Response, repository: str, *, has_token: bool) -> None:
    """Raise for an answer that is no file: again later, or for good."""
    status = response.status_code
    if status == 429:
        wait_s = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
        raise TryAgainError("the hub asks to slow down", wait_s=wait_s)
    if status in (401, 403):
        raise refused_access(
            repository,
            status,
            response.headers.get("x-error-code", ""),
            response.headers.get("x-error-message", ""),
            has_token=has_token,
        )
    if status in (404, 410):
        raise AppError(
            "not_found",
            f"The hub no longer has this file of {repository}.",
            "It was moved or deleted; look at the repository's page.",
        )
    raise TryAgainError(f"the hub answered with status {status}")


def same_origin(url: str, other: str) -> bool:
    """Return whether two addresses are of one scheme, host and port."""
    a, b = urlsplit(url), urlsplit(other)
    return (a.scheme, a.hostname, _port(a.scheme, a.port)) == (
        b.scheme,
        b.hostname,
        _port(b.scheme, b.port),
    )


def check_target(url: str, endpoint: str) -> None:
    """Refuse a redirect that leaves HTTPS or leads into the private network.

    Raises: AppError `network_failed`; TryAgainError when the name cannot be looked up.
    """
    parts, hub = urlsplit(url), urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or (hub.scheme == "https" and parts.scheme == "http"):
        raise _unsafe(url)
    if not parts.hostname:
        raise _unsafe(url)
    if is_private(hub.hostname or ""):
        return
    if is_private(parts.hostname):
        raise _unsafe(url)


def is_private(host: str) -> bool:
    """Return whether a host's name stands for an address that is not on the public network.

    Raises: TryAgainError when it cannot be looked up.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TryAgainError(f"the name {host} cannot be looked up") from error
    addresses = (ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found)
    return any(not _is_public(address) for address in addresses)


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_global)


def _unsafe(url: str) -> AppError:
    host = urlsplit(url).hostname or "nowhere"
    return AppError(
        "network_failed",
        f"The hub sent this download to {quoted(host, 80)}, which is not a public HTTPS address.",
        "Check HF_ENDPOINT and your network; nothing was sent there.",
    )


def _port(scheme: str, port: int | None) -> int | None:
    return port or {"http": 80, "https": 443}.get(scheme)


def describe(error: httpx.HTTPError) -> str:
    """Return what went wrong with a connection, for a person."""
    match error:
        case httpx.ConnectTimeout():
            return "the hub does not answer"
        case httpx.ConnectError():
            return "the hub cannot be reached"
        case httpx.TimeoutException():
            return "nothing came any more"
        case _:
            return "the connection broke"
