"""T14: every number of a request is checked against its bounds before C sees it."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import pytest

from freehold.engine.requests import SamplingParams
from freehold.engine.sampling import (
    MAX_BIASES,
    Stage,
    check_logprobs,
    check_sampling,
    check_stops,
    make_stages,
    read_temperature,
)
from freehold.errors import AppError

VOCABULARY = 1000
NUMBERS = [
    field.name
    for field in msgspec.structs.fields(SamplingParams)
    if field.name == "temperature"
    or (isinstance(field.default, int | float) and not isinstance(field.default, bool))
]


def _names(**changes: object) -> list[str]:
    params = SamplingParams(**changes)  # type: ignore[arg-type]
    check_sampling(params, VOCABULARY)
    return [stage.name for stage in make_stages(params, context_tokens=512, end_tokens=(7,))]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1e9, -101, 1e12, 2**31, 2**63, math.nan, math.inf, -math.inf])
def test_every_number_has_bounds(name: str, value: float) -> None:
    with pytest.raises(AppError) as refused:
        check_sampling(SamplingParams(**{name: value}), VOCABULARY)
    assert refused.value.code == "invalid_request"
    assert refused.value.detail == {"param": name}


def test_the_list_of_numbers_is_complete() -> None:
    assert len(NUMBERS) == 21
    assert "temperature" in NUMBERS
    assert dataclasses.is_dataclass(SamplingParams) is False


def test_the_defaults_pass() -> None:
    check_sampling(SamplingParams(), VOCABULARY)
    assert _names() == ["top_k", "top_p", "min_p", "temp", "dist"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"seed": 2**64}, "seed"),
        ({"logit_bias": {VOCABULARY: 1.0}}, "logit_bias"),
        ({"logit_bias": {-1: 1.0}}, "logit_bias"),
        ({"logit_bias": {1: math.nan}}, "logit_bias"),
        ({"logit_bias": {1: math.inf}}, "logit_bias"),
        ({"logit_bias": dict.fromkeys(range(MAX_BIASES + 1), 0.0)}, "logit_bias"),
        ({"dry_sequence_breakers": ("x",) * 33}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": ("",)}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": ("a\0b",)}, "dry_sequence_breakers"),
        ({"top_k": 2.5}, "top_k"),
    ],
)
def test_other_values_are_checked_too(changes: dict[str, object], param: str) -> None:
    with pytest.raises(AppError) as refused:
        check_sampling(SamplingParams(**changes), 10_000 if "1" in param else VOCABULARY)  # type: ignore[arg-type]
    assert refused.value.detail == {"param": param}


def test_stops_and_logprobs_are_bounded() -> None:
    check_stops(("a", "b" * 1000))
    check_logprobs(None)
    check_logprobs(20)
    for stops in (("",), ("x",) * 33, ("x" * 1001,)):
        with pytest.raises(AppError):
            check_stops(stops)
    for count in (-1, 21):
        with pytest.raises(AppError):
            check_logprobs(count)


def test_stages_follow_the_parameters() -> None:
    assert _names(temperature=0.0) == ["greedy"]
    assert _names(temperature=0.0, repeat_penalty=1.1) == ["penalties", "greedy"]
    assert _names(mirostat=1) == ["temp", "mirostat"]
    assert _names(mirostat=2) == ["temp", "mirostat_v2"]
    assert _names(
        top_n_sigma=1.0,
        typical_p=0.9,
        xtc_probability=0.5,
        dynatemp_range=0.2,
        dry_multiplier=0.8,
        presence_penalty=0.5,
        logit_bias={3: -math.inf},
    ) == [
        "logit_bias",
        "penalties",
        "dry",
        "top_n_sigma",
        "top_k",
        "typical",
        "top_p",
        "min_p",
        "xtc",
        "temp_ext",
        "dist",
    ]


def test_ignoring_the_end_forbids_every_end_token() -> None:
    params = SamplingParams(ignore_eos=True, logit_bias={7: 5.0, 3: 1.0})
    first = make_stages(params, context_tokens=512, end_tokens=(7, 9))[0]
    assert first == Stage("logit_bias", (((7, -math.inf), (3, 1.0), (9, -math.inf)),))


def test_windows_are_the_context_at_most() -> None:
    params = SamplingParams(repeat_penalty=1.2, repeat_last_n=-1)
    assert make_stages(params, context_tokens=512)[0].arguments[0] == 512
    params = SamplingParams(repeat_penalty=1.2, repeat_last_n=1_000_000)
    assert make_stages(params, context_tokens=512)[0].arguments[0] == 512


def test_a_seed_is_kept_and_one_is_drawn_without() -> None:
    seeded = SamplingParams(seed=-5)
    assert make_stages(seeded, context_tokens=9)[-1] == Stage("dist", (0xFFFFFFFB,))
    drawn = {make_stages(SamplingParams(), context_tokens=9)[-1] for _ in range(8)}
    assert len(drawn) > 1
    never = make_stages(SamplingParams(seed=0xFFFFFFFF), context_tokens=9)[-1]
    assert never.arguments != (0xFFFFFFFF,)


def test_the_model_names_the_temperature_where_the_request_does_not() -> None:
    def stages(advised: float, **changes: float) -> list[object]:
        made = make_stages(
            SamplingParams(**changes),  # type: ignore[arg-type]
            context_tokens=512,
            advised_temperature=advised,
        )
        return [stage.arguments[0] if stage.name == "temp" else stage.name for stage in made]

    assert stages(0.0) == ["greedy"]
    assert 0.6 in stages(0.6)
    assert 0.3 in stages(0.0, temperature=0.3)
    assert stages(0.6, temperature=0.0) == ["greedy"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.000000", 0.0), ("0.6", 0.6), (None, 0.8), ("", 0.8), ("hot", 0.8), ("-1", 0.8), ("9", 0.8),
     ("nan", 0.8), ("inf", 0.8)],
)  # fmt: skip
def test_a_recommended_temperature_out_of_bounds_is_left_aside(
    text: str | None, value: float
) -> None:
    assert read_temperature(text) == value
