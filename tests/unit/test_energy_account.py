"""Windows are settled once every engine has told its steps, and add up to the meters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from freehold.power.account import PATIENCE_S, EnergyAccount
from freehold.power.attribution import Step, Work
from freehold.power.readings import Level
from freehold.power.sampler import Sample


def sample(start_s: float, watts: float, level: Level = "gpu", complete: bool = True) -> Sample:
    return Sample(start_s, start_s + 1, (), round(watts * 1e6), level, complete)


def step(start_s: float, end_s: float, *names: str) -> Step:
    return Step(start_s, end_s, tuple(Work(name, decode_tokens=1) for name in names))


def test_a_window_waits_for_the_slowest_engine() -> None:
    account = EnergyAccount(idle_watts=100)
    account.add_engine("a", 0)
    account.add_engine("b", 0)
    account.add_sample(sample(0, 300))
    account.add_steps("a", (step(0, 1, "x"),), 1.0)
    assert account.settle(1.1) == []
    assert not account.is_settled(0.5)
    account.add_steps("b", (), 1.2)
    (settled,) = account.settle(1.3)
    assert settled.by_request == {"x": 200_000_000}
    assert settled.idle_microjoules == 100_000_000
    assert account.is_settled(0.5)


def test_a_dead_engine_is_not_waited_for() -> None:
    account = EnergyAccount(idle_watts=100)
    account.add_engine("a", 0)
    account.add_sample(sample(0, 150))
    account.remove_engine("a")
    assert len(account.settle(1.0)) == 1
    account.add_engine("silent", 1)
    account.add_sample(sample(1, 150))
    assert account.settle(1 + PATIENCE_S) == []
    assert len(account.settle(2.1 + PATIENCE_S)) == 1


def test_idle_power_is_learned_from_idle_windows_only() -> None:
    account = EnergyAccount()
    account.add_sample(sample(0, 120))
    account.settle(1)
    assert account.idle_watts == 120
    account.add_sample(sample(1, 500))
    account.add_steps("", (step(1, 2, "x"),), 2)
    account.settle(2)
    assert account.idle_watts == 120
    account.add_sample(sample(2, 10, complete=False))
    account.settle(3)
    assert account.idle_watts == 120


def test_a_request_carries_the_weakest_level_it_was_measured_with() -> None:
    account = EnergyAccount(idle_watts=0)
    account.add_sample(sample(0, 100, "wall"))
    account.add_sample(sample(1, 100, "estimate"))
    account.add_steps("", (step(0, 2, "x"),), 2)
    account.settle(2)
    energy = account.close_request("x")
    assert energy is not None
    assert (energy.microjoules, energy.level) == (200_000_000, "estimate")
    assert account.energy("x") is None


@given(
    watts=st.lists(st.floats(0, 700), min_size=1, max_size=20),
    spans=st.lists(
        st.tuples(st.floats(0, 20), st.floats(0.001, 3), st.sampled_from("abc")), max_size=20
    ),
)
def test_everything_settled_is_everything_metered(
    watts: list[float], spans: list[tuple[float, float, str]]
) -> None:
    account = EnergyAccount(idle_watts=80)
    metered = 0
    for start_s, power in enumerate(watts):
        account.add_sample(sample(float(start_s), power))
        metered += round(power * 1e6)
    steps = tuple(sorted((step(s, s + n, name) for s, n, name in spans), key=lambda x: x.end_s))
    account.add_steps("", steps, 100)
    settled = account.settle(1000)
    assert sum(window.microjoules for window in settled) == metered
    for name in "abc":
        energy = account.close_request(name)
        given_out = sum(window.by_request.get(name, 0) for window in settled)
        assert (energy.microjoules if energy else 0) == given_out
