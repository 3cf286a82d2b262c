"""Realistic models and chats for tests of pages and for the screenshots."""

from __future__ import annotations

from doubles.client import FakeClient, error_info
from freehold.errors import AppError
from freehold.wire import EngineState, Message, ModelEntry, ReplyStats, Settings

KIMI = ModelEntry(
    ref="Kimi-K2-Instruct:UD-Q2_K_XL",
    name="Kimi K2 Instruct",
    arch="deepseek2",
    bytes=381_000_000_000,
    path="/data/models/Kimi-K2-Instruct-UD-Q2_K_XL-00001-of-00008.gguf",
    origin="imported",
    ready=True,
    quant="UD-Q2_K_XL",
    parameters=1_026_000_000_000,
    context_tokens=131_072,
    experts=384,
    experts_used=8,
    shards=8,
)
QWEN = ModelEntry(
    ref="Qwen3-30B-A3B:Q4_K_M",
    name="Qwen3 30B A3B",
    arch="qwen3moe",
    bytes=18_600_000_000,
    path="/home/ada/.local/share/freehold/models/Qwen3-30B-A3B-Q4_K_M.gguf",
    origin="downloaded",
    ready=True,
    quant="Q4_K_M",
    parameters=30_500_000_000,
    context_tokens=40_960,
    experts=128,
    experts_used=8,
)
GEMMA = ModelEntry(
    ref="gemma-4-12b-it:Q4_0",
    name="Gemma 4 12B",
    arch="gemma4",
    bytes=7_300_000_000,
    path="/home/ada/.ollama/models/gemma-4-12b-it-Q4_0.gguf",
    origin="Ollama",
    ready=True,
    quant="Q4_0",
    parameters=11_800_000_000,
    context_tokens=131_072,
)
BROKEN = ModelEntry(
    ref="mistral-small:Q5_K_M",
    name="Mistral Small 24B",
    arch="llama",
    bytes=9_200_000_000,
    path="/home/ada/Downloads/mistral-small-Q5_K_M.gguf",
    origin="imported",
    ready=False,
    quant="Q5_K_M",
    parameters=23_600_000_000,
    context_tokens=32_768,
    problem=error_info(
        AppError(
            "invalid_model",
            "The file ends early: 9.2 GB of the 16.8 GB its header announces are there.",
            "The download was probably cut; fetch the file again and import it once more.",
        )
    ),
)
MODELS = (KIMI, QWEN, GEMMA, BROKEN)
QWEN_LOADED = EngineState(
    ref=QWEN.ref,
    phase="ready",
    fraction=1.0,
    pid=4300,
    backend="CUDA",
    devices=("NVIDIA H100 80GB",),
    context_tokens=32_768,
    trained_context_tokens=40_960,
    parallel=4,
    running=1,
    cells_used=2_210,
    decode_tokens_per_s=148.0,
    resident_bytes=19_400_000_000,
    supports_tools=True,
    supports_thinking=True,
)
KIMI_LOADING = EngineState(ref=KIMI.ref, phase="loading", fraction=0.62)

ANSWER = """Renting is a meter that runs; owning is a garage you pay for once.

| | Rent | Own |
|---|---|---|
| First month | $41 | $9,800 |
| Each month after | $41 | $63 of power |
| After three years | $1,476 | $12,068 |

For **one** developer renting is cheaper. For *eight* who share the machine it turns:

```python
def break_even_months(hardware: float, power: float, seat: float, people: int) -> float:
    saved = seat * people - power
    return hardware / saved if saved > 0 else float("inf")
```

With eight people at $41 each, `break_even_months(9800, 63, 41, 8)` is about **37 months**.
"""


def first_launch(*, settings: Settings | None = None) -> FakeClient:
    """Return a server that has nothing but the models that come with Freehold."""
    folder = "/opt/freehold/resources/models"
    starter = ModelEntry(
        ref="freehold-starter:Q8_0",
        name="Freehold Starter",
        arch="deepseek2",
        bytes=4_752_096,
        path=f"{folder}/freehold-starter-Q8_0.gguf",
        origin="bundled",
        ready=True,
        quant="Q8_0",
        context_tokens=4096,
    )
    embedder = ModelEntry(
        ref="all-MiniLM-L6-v2:Q8_0",
        name="all-MiniLM-L6-v2",
        arch="bert",
        bytes=25_279_360,
        path=f"{folder}/all-MiniLM-L6-v2-Q8_0.gguf",
        origin="bundled",
        ready=True,
        quant="Q8_0",
        parameters=22_700_000,
        context_tokens=512,
        kind="embedding",
    )
    return FakeClient(models=(embedder, starter), settings=settings or Settings())


def busy_workstation(
    *, settings: Settings | None = None, now: float = 1_760_000_000.0
) -> FakeClient:
    """Return a server with four models, one loaded and one on its way, and a few chats."""
    client = FakeClient(
        models=MODELS,
        engines=(QWEN_LOADED, KIMI_LOADING),
        settings=settings or Settings(default_model_ref=QWEN.ref),
    )
    for age, (title, question, answer) in enumerate(
        (
            ("Rent or own?", "Does a workstation of my own pay for eight people?", ANSWER),
            ("Release notes for 2.4", "Draft release notes from these commits.", "Here they are."),
            ("Why does the test flake?", "It fails one time in twenty.", "It races the timer."),
            ("Dinner for six", "Something without nuts.", "A mushroom risotto."),
        )
    ):
        chat = client.conversations.create(title=title, model_ref=QWEN.ref, now=now - age * 86_400)
        asked = chat.add(
            Message(
                id=client.conversations.new_id("message"),
                chat_id=chat.id,
                parent_id=None,
                role="user",
                content=question,
                created_at=now - age * 86_400,
            )
        )
        chat.add(
            Message(
                id=client.conversations.new_id("message"),
                chat_id=chat.id,
                parent_id=asked.id,
                role="assistant",
                content=answer,
                reasoning="The person wants a comparison over time, so lay out the months.",
                model_ref=QWEN.ref,
                created_at=now - age * 86_400 + 3,
                stats=ReplyStats(
                    prompt_tokens=412,
                    completion_tokens=318,
                    decode_tokens_per_s=148.0,
                    first_token_s=0.18,
                    duration_s=2.4,
                    finish_reason="stop",
                ),
            )
        )
    return client
