"""`GET /metrics`: what the server and its engines do, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable

from freehold import __version__
from freehold.server.counters import Counters
from freehold.wire import EngineState

Sample = tuple[dict[str, str], float]


def render_metrics(counters: Counters, engines: Iterable[EngineState], readers: int) -> str:
    """Return the text a Prometheus server reads."""
    states = list(engines)
    lines: list[str] = []

    def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        lines.extend((f"# HELP freehold_{name} {text}", f"# TYPE freehold_{name} {kind}"))
        lines.extend(f"freehold_{name}{_labels(labels)} {value:g}" for labels, value in samples)

    def per_engine(name: str, text: str, field: str) -> None:
        samples = [({"model": s.ref}, float(getattr(s, field))) for s in states]
        family(name, "gauge", text, samples)

    family("info", "gauge", "Version of the server.", [({"version": __version__}, 1)])
    family(
        "requests_total",
        "counter",
        "Requests to models, by route and HTTP status (499: the client left).",
        [
            ({"route": route, "status": str(status)}, count)
            for (route, status), count in sorted(counters.requests.items())
        ],
    )
    family("requests_in_flight", "gauge", "Requests under way.", [({}, counters.in_flight)])
    family(
        "tokens_total",
        "counter",
        "Tokens by model and kind; cached ones are among the prompt's.",
        [
            ({"model": ref, "kind": kind}, count)
            for (ref, kind), count in sorted(counters.tokens.items())
        ],
    )
    family("event_readers", "gauge", "Windows following the event stream.", [({}, readers)])
    family(
        "engine_up",
        "gauge",
        "Whether a model's engine process is ready.",
        [({"model": s.ref}, float(s.phase == "ready")) for s in states],
    )
    per_engine("engine_running", "Requests that have a slot.", "running")
    per_engine("engine_waiting", "Requests waiting for a slot.", "waiting")
    per_engine("engine_cells_used", "KV cache cells in use.", "cells_used")
    per_engine("engine_cells_total", "KV cache cells there are.", "context_tokens")
    per_engine("engine_resident_bytes", "Memory of the engine process.", "resident_bytes")
    per_engine(
        "engine_decode_tokens_per_second", "Tokens generated per second.", "decode_tokens_per_s"
    )
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return "{" + inner + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
