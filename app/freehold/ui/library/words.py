"""The words of the library's pages: progress, facts and fit."""

from __future__ import annotations

import time
from typing import Final

from freehold.units import format_bytes, format_count, format_duration, format_rate
from freehold.wire import Download
from freehold.wire_library import Fit, HubModel, HubVariant, VariantFacts

FIT_ROLES: Final = {
    "gpu": "chip-accent",
    "gpu+ram": "chip-accent",
    "disk": "chip-warning",
    "no": "chip-danger",
}
PARTS: Final = {
    "experts": "experts",
    "attention": "attention",
    "shared_experts": "shared experts",
    "feed_forward": "feed-forward",
    "embeddings": "embeddings",
    "other": "other",
}


def fit_role(fit: Fit | None) -> str:
    """Return the look of a fit badge."""
    return FIT_ROLES[fit.verdict] if fit is not None else "chip"


def joined(*facts: str) -> str:
    """Return facts that are known, with dots between."""
    return "  ·  ".join(fact for fact in facts if fact)


def model_facts(model: HubModel) -> str:
    """Return what the hub's search says of a repository."""
    return joined(
        f"{format_count(model.parameters)} parameters" if model.parameters else "",
        model.architecture,
        f"{format_count(model.context_tokens)} context" if model.context_tokens else "",
        model.licence,
        f"{format_count(model.downloads)} downloads" if model.downloads else "",
        f"{format_count(model.likes)} likes" if model.likes else "",
    )


def variant_words(variant: HubVariant) -> str:
    """Return a variant's size, bits and files."""
    return joined(
        format_bytes(variant.bytes),
        f"{variant.bits_per_weight:.2f} bits per weight" if variant.bits_per_weight else "",
        f"{variant.files} files" if variant.files > 1 else "",
    )


def facts_words(facts: VariantFacts) -> str:
    """Return what the headers of a variant say, in two lines."""
    first = joined(
        facts.architecture,
        f"{format_count(facts.parameters)} parameters, {format_count(facts.active_parameters)}"
        " at work per token",
        f"{facts.experts_used} of {facts.experts} experts" if facts.experts else "",
        f"{facts.layers} layers" if facts.layers else "",
        f"{format_count(facts.context_tokens)} context" if facts.context_tokens else "",
        f"about {format_rate(facts.decode_tokens_per_s)} (estimated)"
        if facts.decode_tokens_per_s
        else "",
    )
    parts = sorted(facts.bytes_by_part.items(), key=lambda item: -item[1])
    second = ", ".join(f"{PARTS.get(part, part)} {format_bytes(count)}" for part, count in parts)
    types = sorted(facts.bytes_by_type.items(), key=lambda item: -item[1])[:4]
    third = ", ".join(f"{name} {format_bytes(count)}" for name, count in types)
    return f"{first}\n{second}\n{third}"


def download_words(download: Download, now_s: float | None = None) -> str:
    """Return how far a download is: bytes, speed, time left, and when it is done."""
    done, total = format_bytes(download.done_bytes), format_bytes(download.total_bytes)
    match download.state:
        case "done":
            return f"{total} downloaded and verified"
        case "queued":
            return (
                f"{done} of {total}, waits for its turn"
                if download.done_bytes
                else (f"{total}, waits for its turn")
            )
        case "verifying":
            share = download.verified_bytes / max(1, download.total_bytes)
            return f"{total} are here, comparing checksums: {share:.0%}"
        case "paused" | "failed":
            return f"{done} of {total}"
    speed = f"{format_bytes(round(download.bytes_per_s))}/s"
    if download.eta_s is None or download.bytes_per_s <= 0:
        return joined(f"{done} of {total}", "waiting for the hub")
    at_s = (time.time() if now_s is None else now_s) + download.eta_s
    return joined(
        f"{done} of {total}",
        speed,
        f"{format_duration(download.eta_s)} left",
        f"done about {done_at(at_s)}",
    )


def done_at(at_s: float) -> str:
    """Return a time of day, with the day when it is not today."""
    day = "" if time.localtime(at_s)[:3] == time.localtime()[:3] else "%a "
    return time.strftime(f"{day}%H:%M", time.localtime(at_s))


def plan_words(variant: HubVariant, bytes_per_s: float) -> str:
    """Return the plan of a download at a speed: how much, how long, and when it is done."""
    left_s = variant.bytes / bytes_per_s
    return (
        f"{format_bytes(variant.bytes)}, {format_duration(left_s)} at"
        f" {format_bytes(round(bytes_per_s))}/s, done about {done_at(time.time() + left_s)}"
    )
