"""What the model of `FakeClient` says, and how errors travel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from freehold.errors import AppError
from freehold.wire import ErrorInfo, ReplyStats
from freehold.wire_grounds import Grounds


@dataclass
class Reply:
    """What the model double says next."""

    deltas: Sequence[str] = ("A short answer.",)
    reasoning: Sequence[str] = ()
    error: AppError | None = None
    hold: bool = False
    pause_s: float = 0.0
    stats: ReplyStats | None = None
    grounds: Grounds | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)


def error_info(error: AppError) -> ErrorInfo:
    """Return an error as the wire carries it."""
    return msgspec.convert(error.to_dict(), ErrorInfo)
