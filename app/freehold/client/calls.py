"""What the parts of the client borrow from `HttpClient`: sending a request, reading an answer."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping
from typing import Protocol, TypeVar

import httpx

T = TypeVar("T")


class Call(Protocol):
    """How a request is sent; see `HttpClient`."""

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        repeat: bool = False,
        content: AsyncIterable[bytes] | None = None,
    ) -> Awaitable[httpx.Response]: ...


class Decode(Protocol):
    """How an answer is read; see `HttpClient`."""

    def __call__(self, response: httpx.Response, kind: type[T]) -> T: ...
