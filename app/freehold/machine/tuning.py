"""Which settings to try next, and which were best: decisions over what was measured so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from freehold.wire import LoadRequest
from freehold.wire_machine import TuneRow

# What a turn is taken to be, so that prompts and answers count in one figure.
PROMPT_TOKENS: Final = 1024
ANSWER_TOKENS: Final = 256
# Less than this is noise: what was set stays.
NOTABLE: Final = 0.03
SETTINGS: Final = (
    "cpu_expert_layers",
    "threads",
    "micro_batch_tokens",
    "flash_attention",
    "kv_type_k",
    "kv_type_v",
    "expert_kernels",
)
BATCHES: Final = (256, 512, 1024)

Value = int | str | None
Name = Literal[
    "cpu_expert_layers",
    "threads",
    "micro_batch_tokens",
    "flash_attention",
    "kv_type",
    "expert_kernels",
]


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting and the values worth trying; `kv_type` sets both kinds of the cache."""

    name: Name
    values: tuple[Value, ...]

    def set(self, settings: LoadRequest, value: Value) -> LoadRequest:
        """Return the settings with another value of this one."""
        names = ("kv_type_k", "kv_type_v") if self.name == "kv_type" else (self.name,)
        changed: dict[str, object] = dict.fromkeys(names, value)
        return msgspec.structs.replace(settings, **changed)

    def get(self, settings: LoadRequest) -> Value:
        """Return the value that settings have."""
        value: Value = getattr(settings, "kv_type_k" if self.name == "kv_type" else self.name)
        return value


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What tuning found for a model: all rows, the settings that won, and those before."""

    ref: str
    taken_at: float
    rows: tuple[TuneRow, ...]
    best: LoadRequest
    before: LoadRequest


def choose_axes(
    *,
    cores: int,
    threads: int,
    gpus: int,
    expert_layers: int,
    planned_expert_layers: int,
    has_kernels: bool = False,
) -> tuple[Axis, ...]:
    """Return the settings that matter for a model on a machine, the most telling first.

    planned_expert_layers: how many layers' experts the plan keeps in RAM. has_kernels: whether
    Freehold's expert kernels are there.
    """
    axes = []
    if gpus and expert_layers:
        near = {planned_expert_layers + step for step in (-2, 2, 4)}
        values = sorted(n for n in near if 0 <= n <= expert_layers)
        axes.append(Axis("cpu_expert_layers", tuple(values)))
    if gpus and expert_layers and has_kernels:
        axes.append(Axis("expert_kernels", (True, False)))
    counts = sorted({max(1, cores // 2), max(1, cores - 1), cores, threads}, reverse=True)
    axes.append(Axis("threads", tuple(counts)))
    axes.append(Axis("micro_batch_tokens", BATCHES))
    axes.append(Axis("flash_attention", ("on", "off")))
    axes.append(Axis("kv_type", ("f16", "q8_0")))
    return tuple(axes)


def only_tuned(request: LoadRequest) -> LoadRequest:
    """Return a request with nothing but what tuning may change."""
    values = {name: getattr(request, name) for name in SETTINGS}
    return LoadRequest(**values)


def next_trial(
    axes: Sequence[Axis], before: LoadRequest, rows: Sequence[TuneRow], left_s: float
) -> LoadRequest | None:
    """Return the settings to measure next; None when time is up or nothing is left to try.

    First what is set now, then every value of every setting once, each beside the best of the
    others so far; then what that left out.
    """
    if not rows:
        return before
    if left_s < max(row.took_s for row in rows):
        return None
    best = best_row(rows)
    if best is None:
        return None  # what is set now does not even load
    tried = [row.settings for row in rows]
    for axis in axes:
        seen = {axis.get(settings) for settings in tried}
        for value in axis.values:
            if value not in seen:
                return axis.set(best.settings, value)
    for axis in axes:
        runs = {axis.get(row.settings) for row in rows if not row.problem}
        for value in axis.values:
            trial = axis.set(best.settings, value)
            if trial not in tried and value in runs:
                return trial
    return None


def best_row(rows: Sequence[TuneRow]) -> TuneRow | None:
    """Return the row to keep: the fastest, if it is notably faster than what was set before.

    The first row is what was set before. None if none of them ran.
    """
    ran = [row for row in rows if not row.problem]
    if not ran:
        return None
    fastest = min(ran, key=lambda row: row.turn_s)
    first = rows[0]
    if not first.problem and fastest.turn_s > (1 - NOTABLE) * first.turn_s:
        return first
    return fastest


def turn_s(prompt_tokens_per_s: float, decode_tokens_per_s: float) -> float:
    """Return the seconds of a turn at these speeds."""
    return PROMPT_TOKENS / prompt_tokens_per_s + ANSWER_TOKENS / decode_tokens_per_s


def setting_words(settings: LoadRequest) -> str:
    """Return settings as words, `8 threads, batches of 512`; the engine's choices are left out."""
    said = []
    if settings.cpu_expert_layers is not None:
        said.append(f"experts of {settings.cpu_expert_layers} layers in RAM")
    if settings.threads is not None:
        said.append(f"{settings.threads} thread{'s' if settings.threads != 1 else ''}")
    if settings.micro_batch_tokens is not None:
        said.append(f"batches of {settings.micro_batch_tokens}")
    if settings.flash_attention in ("on", "off"):
        said.append(f"flash attention {settings.flash_attention}")
    if settings.kv_type_k is not None:
        said.append(f"KV cache {settings.kv_type_k}")
    if settings.expert_kernels is not None:
        said.append(f"expert kernels {'on' if settings.expert_kernels else 'off'}")
    return ", ".join(said) or "as the engine chooses"
