"""Sampling parameters as OpenAI's and llama.cpp's clients send them, every number bounded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.engine.requests import SamplingParams
from freehold.errors import AppError

Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
MAX_TOKENS = 16_777_216
MAX_GRAMMAR_CHARS = 65_536
TokenCount = Annotated[int, Meta(ge=-1, le=MAX_TOKENS)]
LastTokens = Annotated[int, Meta(ge=-1, le=MAX_TOKENS)]
Stop = Annotated[str, Meta(min_length=1, max_length=1000)]
Stops = Annotated[list[Stop], Meta(max_length=32)]

_DIRECT = (
    "temperature",
    "dynatemp_range",
    "dynatemp_exponent",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "xtc_probability",
    "xtc_threshold",
    "repeat_last_n",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "ignore_eos",
)


class SamplingFields(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that chat and text completions share; None means the engine's default."""

    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    dynatemp_range: Annotated[float, Meta(ge=0, le=100)] | None = None
    dynatemp_exponent: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    top_n_sigma: Annotated[float, Meta(ge=-1, le=100)] | None = None
    xtc_probability: Share | None = None
    xtc_threshold: Share | None = None
    repeat_last_n: LastTokens | None = None
    repeat_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    dry_multiplier: Annotated[float, Meta(ge=0, le=100)] | None = None
    dry_base: Annotated[float, Meta(ge=1, le=100)] | None = None
    dry_allowed_length: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None
    dry_penalty_last_n: LastTokens | None = None
    dry_sequence_breakers: (
        Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=64)] | None
    ) = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: Annotated[float, Meta(ge=0, le=100)] | None = None
    mirostat_eta: Share | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1024)] | None
    ) = None
    ignore_eos: bool | None = None
    grammar: Annotated[str, Meta(max_length=MAX_GRAMMAR_CHARS)] | None = None
    json_schema: dict[str, Any] | None = None
    stop: Stop | Stops | None = None
    max_tokens: TokenCount | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Return the stop strings as a tuple, whichever way they were sent."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    def sampling(self, index: int = 0) -> SamplingParams:
        """Return the engine's parameters for choice number `index`; each has its own seed."""
        given = {name: value for name in _DIRECT if (value := getattr(self, name)) is not None}
        if self.dry_sequence_breakers is not None:
            given["dry_sequence_breakers"] = tuple(self.dry_sequence_breakers)
        if self.seed is not None and self.seed != -1:
            given["seed"] = (self.seed + index) % 2**32
        if self.logit_bias:
            given["logit_bias"] = {
                _token_id(token): bias for token, bias in self.logit_bias.items()
            }
        return SamplingParams(**given)


def positive_limit(value: int | None) -> int | None:
    """Return a token limit; llama.cpp's clients send -1 for none."""
    return None if value is None or value == -1 else value


def _token_id(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise AppError(
        "invalid_request",
        f"logit_bias has the key {text[:40]!r}, which is no token id.",
        "Its keys are token numbers.",
        detail={"param": "logit_bias"},
    )
