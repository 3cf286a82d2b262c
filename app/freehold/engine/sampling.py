"""Which samplers a request needs, in llama.cpp's order, after every number was checked.

Nothing unchecked reaches C: a negative count or a NaN there is a crash or worse.
"""

from __future__ import annotations

import math
import secrets
from typing import Final, NamedTuple

from freehold.engine.requests import SamplingParams
from freehold.errors import AppError

MAX_TOP_K: Final = 1_000_000
MAX_LAST_N: Final = 1_000_000
MAX_BIASES: Final = 4096
MAX_BREAKERS: Final = 32
MAX_BREAKER_CHARACTERS: Final = 40
MAX_LOGPROBS: Final = 20
MAX_STOPS: Final = 32
MAX_STOP_CHARACTERS: Final = 1000
MIN_KEEP: Final = 1
DEFAULT_TEMPERATURE: Final = 0.8

# Name, lowest and highest value allowed.
_NUMBERS: Final[tuple[tuple[str, float, float], ...]] = (
    ("temperature", 0.0, 100.0),
    ("dynatemp_range", 0.0, 100.0),
    ("dynatemp_exponent", 0.0, 100.0),
    ("top_k", 0, MAX_TOP_K),
    ("top_p", 0.0, 1.0),
    ("min_p", 0.0, 1.0),
    ("typical_p", 0.0, 1.0),
    ("top_n_sigma", -1.0, 100.0),
    ("xtc_probability", 0.0, 1.0),
    ("xtc_threshold", 0.0, 1.0),
    ("repeat_last_n", -1, MAX_LAST_N),
    ("repeat_penalty", 0.01, 100.0),
    ("presence_penalty", -100.0, 100.0),
    ("frequency_penalty", -100.0, 100.0),
    ("dry_multiplier", 0.0, 100.0),
    ("dry_base", 0.0, 100.0),
    ("dry_allowed_length", 0, MAX_LAST_N),
    ("dry_penalty_last_n", -1, MAX_LAST_N),
    ("mirostat", 0, 2),
    ("mirostat_tau", 0.0, 100.0),
    ("mirostat_eta", 0.0, 100.0),
)
_WHOLE: Final = frozenset(
    {
        "top_k",
        "repeat_last_n",
        "dry_allowed_length",
        "dry_penalty_last_n",
        "mirostat",
    }
)


class Stage(NamedTuple):
    """One sampler of a chain: its llama.cpp name and arguments in order."""

    name: str
    arguments: tuple[object, ...] = ()


def check_sampling(params: SamplingParams, vocab_size: int) -> None:
    """Raise AppError `invalid_request` naming the first value out of bounds."""
    for name, low, high in _NUMBERS:
        value = getattr(params, name)
        if name == "temperature" and value is None:
            continue
        if not math.isfinite(value) or not low <= value <= high:
            raise _refused(name, f"must be between {low:g} and {high:g}, not {value:g}")
        if name in _WHOLE and value != int(value):
            raise _refused(name, f"must be a whole number, not {value:g}")
    if params.seed is not None and not -(2**63) <= params.seed < 2**64:
        raise _refused("seed", "must fit in 64 bits")
    if len(params.logit_bias) > MAX_BIASES:
        raise _refused("logit_bias", f"may name at most {MAX_BIASES} tokens")
    for token, bias in params.logit_bias.items():
        if not 0 <= token < vocab_size:
            raise _refused(
                "logit_bias", f"names token {token}; the vocabulary has {vocab_size:,} tokens"
            )
        if math.isnan(bias) or (bias != -math.inf and not -1e4 <= bias <= 1e4):
            raise _refused("logit_bias", f"must be between -10000 and 10000, not {bias:g}")
    if len(params.dry_sequence_breakers) > MAX_BREAKERS or any(
        not 0 < len(text) <= MAX_BREAKER_CHARACTERS or "\0" in text
        for text in params.dry_sequence_breakers
    ):
        raise _refused(
            "dry_sequence_breakers",
            f"may hold at most {MAX_BREAKERS} texts of 1 to {MAX_BREAKER_CHARACTERS} characters",
        )


def read_temperature(text: str | None) -> float:
    """Return the temperature a model's file recommends, the default where it names none."""
    try:
        value = float(text or "")
    except ValueError:
        return DEFAULT_TEMPERATURE
    return value if math.isfinite(value) and 0 <= value <= 2 else DEFAULT_TEMPERATURE


def check_stops(stops: tuple[str, ...]) -> None:
    """Raise AppError `invalid_request` for too many, empty or overlong stop strings."""
    if len(stops) > MAX_STOPS or any(not 0 < len(text) <= MAX_STOP_CHARACTERS for text in stops):
        raise _refused(
            "stop", f"may hold at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters"
        )


def check_logprobs(count: int | None) -> None:
    """Raise AppError `invalid_request` if more alternatives are asked for than are told."""
    if count is not None and not 0 <= count <= MAX_LOGPROBS:
        raise _refused("logprobs", f"must be between 0 and {MAX_LOGPROBS}, not {count}")


def make_stages(
    params: SamplingParams,
    *,
    context_tokens: int,
    end_tokens: tuple[int, ...] = (),
    advised_temperature: float = DEFAULT_TEMPERATURE,
) -> tuple[Stage, ...]:
    """Return the chain for checked parameters, the token-selecting sampler last.

    context_tokens: what a window of -1 (the whole context) comes to, and the largest window.
    end_tokens: given a bias of minus infinity when `ignore_eos` is set.
    advised_temperature: taken where the request names none.
    """
    temperature = advised_temperature if params.temperature is None else params.temperature
    stages: list[Stage] = []
    biases = dict(params.logit_bias)
    if params.ignore_eos:
        biases.update(dict.fromkeys(end_tokens, -math.inf))
    if biases:
        stages.append(Stage("logit_bias", (tuple(biases.items()),)))
    stages += _penalties(params, context_tokens)
    seed = params.seed if params.seed is not None else secrets.randbits(32)
    seed &= 0xFFFFFFFF
    if seed == 0xFFFFFFFF:
        seed = 0  # llama.cpp reads the highest value as "draw one yourself"
    if temperature <= 0:
        stages.append(Stage("greedy"))
    elif params.mirostat == 1:
        stages += [
            Stage("temp", (temperature,)),
            Stage("mirostat", (seed, params.mirostat_tau, params.mirostat_eta)),
        ]
    elif params.mirostat == 2:
        stages += [
            Stage("temp", (temperature,)),
            Stage("mirostat_v2", (seed, params.mirostat_tau, params.mirostat_eta)),
        ]
    else:
        stages += _truncations(params, temperature, seed)
        stages.append(Stage("dist", (seed,)))
    return tuple(stages)


def _penalties(params: SamplingParams, context_tokens: int) -> list[Stage]:
    stages = []
    if params.repeat_last_n != 0 and (
        params.repeat_penalty != 1 or params.presence_penalty or params.frequency_penalty
    ):
        arguments = (
            _window(params.repeat_last_n, context_tokens),
            params.repeat_penalty,
            params.frequency_penalty,
            params.presence_penalty,
        )
        stages.append(Stage("penalties", arguments))
    if params.dry_multiplier > 0 and params.dry_base >= 1 and params.dry_penalty_last_n != 0:
        stages.append(
            Stage(
                "dry",
                (
                    params.dry_multiplier,
                    params.dry_base,
                    params.dry_allowed_length,
                    _window(params.dry_penalty_last_n, context_tokens),
                    params.dry_sequence_breakers,
                ),
            )
        )
    return stages


def _window(last_n: int, context_tokens: int) -> int:
    return context_tokens if last_n < 0 else min(last_n, context_tokens)


def _truncations(params: SamplingParams, temperature: float, seed: int) -> list[Stage]:
    stages = []
    if params.top_n_sigma > 0:
        stages.append(Stage("top_n_sigma", (params.top_n_sigma,)))
    if params.top_k > 0:
        stages.append(Stage("top_k", (params.top_k,)))
    if params.typical_p < 1:
        stages.append(Stage("typical", (params.typical_p, MIN_KEEP)))
    if params.top_p < 1:
        stages.append(Stage("top_p", (params.top_p, MIN_KEEP)))
    if params.min_p > 0:
        stages.append(Stage("min_p", (params.min_p, MIN_KEEP)))
    if params.xtc_probability > 0:
        arguments = (params.xtc_probability, params.xtc_threshold, MIN_KEEP, seed)
        stages.append(Stage("xtc", arguments))
    if params.dynatemp_range > 0:
        stages.append(
            Stage("temp_ext", (temperature, params.dynatemp_range, params.dynatemp_exponent))
        )
    elif temperature != 1:
        stages.append(Stage("temp", (temperature,)))
    return stages


def _refused(name: str, what: str) -> AppError:
    return AppError(
        "invalid_request",
        f"{name} {what}.",
        "Change it and send the request again.",
        detail={"param": name},
    )
