"""A hub with the short list, a few repositories and downloads under way, for pages and pictures."""

from __future__ import annotations

from doubles.client import FakeClient
from freehold.library.catalog import read_catalog
from freehold.library.fit import Room, estimate_fit
from freehold.wire import Download
from freehold.wire_library import CatalogEntry, Fit, HubModel, HubPage, HubVariant, VariantFacts

WORKSTATION = Room(gpu_bytes=85_000_000_000, memory_bytes=540_000_000_000, gpu_name="H100")
KIMI_REPO = "unsloth/Kimi-K2-Thinking-GGUF"
QWEN_REPO = "unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF"
CARD = """# Kimi K2 Thinking

Reasons before it answers, and **uses tools** while it does.

| Variant | For |
|---|---|
| UD-Q2_K_XL | one large GPU and much memory |
| UD-Q4_K_XL | two |

```sh
freehold pull unsloth/Kimi-K2-Thinking-GGUF:UD-Q2_K_XL
```
"""


def fit(model_bytes: int) -> Fit:
    """Return the fit on the scene's workstation."""
    return estimate_fit(model_bytes, WORKSTATION)


def stock_hub(client: FakeClient) -> None:
    """Put the short list, repositories and pages on a client's hub."""
    client.shelf.catalog = tuple(
        CatalogEntry(
            name=m.name,
            family=m.family,
            repository=m.repository,
            architecture=m.architecture,
            parameters=m.parameters,
            active_parameters=m.active_parameters,
            context_tokens=m.context_tokens,
            experts=m.experts,
            experts_used=m.experts_used,
            licence=m.licence,
            about=m.about,
            source=m.source,
            checked_on="",
            kind=m.kind,
            variants=tuple(
                HubVariant(name=v.name, quant=v.name, bytes=v.about_bytes, fit=fit(v.about_bytes))
                for v in m.variants
            ),
        )
        for m in read_catalog()
    )
    kimi = HubModel(
        repository=KIMI_REPO,
        downloads=184_000,
        likes=412,
        architecture="deepseek2",
        parameters=1_026_000_000_000,
        context_tokens=262_144,
        licence="modified-mit",
        base_model="moonshotai/Kimi-K2-Thinking",
    )
    others = tuple(
        HubModel(
            repository=name,
            downloads=downloads,
            likes=likes,
            architecture=architecture,
            parameters=parameters,
            context_tokens=131_072,
            licence="apache-2.0",
            gated="manual" if name.startswith("google") else "",
        )
        for name, downloads, likes, architecture, parameters in (
            ("bartowski/Mistral-Small-3.2-24B-GGUF", 91_000, 220, "llama", 23_600_000_000),
            ("google/gemma-4-12b-it-qat-q4_0-gguf", 410_000, 890, "gemma4", 11_800_000_000),
            ("ggml-org/Kimi-VL-A3B-Thinking-GGUF", 12_000, 61, "deepseek2", 16_400_000_000),
        )
    )
    client.shelf.found = (kimi, *others)
    sizes = (
        ("UD-TQ1_0", 245_000_000_000, 6, 1.91),
        ("UD-Q2_K_XL", 360_000_000_000, 8, 2.81),
        ("UD-Q4_K_XL", 594_000_000_000, 13, 4.63),
        ("Q8_0", 1_090_000_000_000, 23, 8.5),
    )
    client.shelf.pages[KIMI_REPO] = HubPage(
        model=kimi,
        revision="abc",
        link=f"https://huggingface.co/{KIMI_REPO}",
        card=CARD,
        free_bytes=812_000_000_000,
        variants=tuple(
            HubVariant(
                name=name,
                quant=name,
                bytes=size,
                files=files,
                bits_per_weight=bits,
                fit=fit(size),
                recommended=name == "UD-Q2_K_XL",
            )
            for name, size, files, bits in sizes
        ),
    )
    client.shelf.facts[(KIMI_REPO, "UD-Q2_K_XL")] = VariantFacts(
        repository=KIMI_REPO,
        variant="UD-Q2_K_XL",
        architecture="deepseek2",
        parameters=1_026_408_232_448,
        active_parameters=32_900_000_000,
        bits_per_weight=2.81,
        experts=384,
        experts_used=8,
        layers=61,
        context_tokens=262_144,
        bytes_by_part={
            "experts": 338_000_000_000,
            "attention": 12_400_000_000,
            "shared_experts": 3_100_000_000,
            "embeddings": 1_900_000_000,
            "feed_forward": 400_000_000,
            "other": 40_000_000,
        },
        bytes_by_type={"Q2_K": 250_000_000_000, "Q3_K": 88_000_000_000, "Q8_0": 17_000_000_000},
        read_bytes=31_000_000,
        fit=Fit(
            verdict="gpu+ram",
            label="GPU + memory",
            reason="It needs about 379 GB: attention and the rest (22.0 GB) on the GPU, experts"
            " (338 GB) in memory as far as needed.",
            level="calculated",
        ),
    )


def download_some(client: FakeClient) -> tuple[Download, Download]:
    """Put one download under way and one behind it."""
    first = client.shelf.start(KIMI_REPO, "UD-Q2_K_XL")
    second = client.shelf.start(KIMI_REPO, "UD-TQ1_0")
    return client.shelf.advance(first.id, 124_000_000_000, bytes_per_s=118_000_000), second
