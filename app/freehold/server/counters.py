"""What the server counts of itself, for `/metrics` and the state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from freehold.engine.requests import Usage


@dataclass(slots=True)
class Counters:
    """Totals since the server started; only the server's loop changes them.

    requests: by (route, HTTP status); tokens by (model, kind).
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: int = 0
    disconnects: int = 0

    @property
    def total_requests(self) -> int:
        """Return the requests to models answered so far."""
        return sum(self.requests.values())

    def add_usage(self, ref: str, usage: Usage) -> None:
        """Count the tokens of one request."""
        self.tokens[ref, "prompt"] += usage.prompt_tokens
        self.tokens[ref, "cached"] += usage.cached_tokens
        self.tokens[ref, "completion"] += usage.completion_tokens
        self.tokens[ref, "reasoning"] += usage.reasoning_tokens
