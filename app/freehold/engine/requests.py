"""What an engine is asked and what it answers with, as frozen values.

Nothing here knows llama.cpp, so schedulers, servers and doubles can be tested without it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Value(msgspec.Struct, frozen=True):
    """A frozen value that crosses the pipe."""


# --- load ------------------------------------------------------------------------------------


class BufferOverride(Value, frozen=True, kw_only=True):
    """Put tensors whose name matches the regular expression `pattern` into `buffer` ("CPU")."""

    pattern: str
    buffer: str


class Placement(Value, frozen=True, kw_only=True):
    """Where a model's parts live. Defaults let llama.cpp use every device it finds.

    devices: llama.cpp device names in order; None for all, () for the CPU alone.
    gpu_layers: layers offloaded, None for all.
    tensor_split: share per device, same order as `devices`; () for by free memory.
    cpu_expert_layers: keep the routed experts of the first N layers in RAM.
    overrides: explicit pins, applied before `cpu_expert_layers`.
    """

    devices: tuple[str, ...] | None = None
    gpu_layers: int | None = None
    split_mode: Literal["none", "layer", "row"] = "layer"
    main_gpu: int = 0
    tensor_split: tuple[float, ...] = ()
    cpu_expert_layers: int = 0
    overrides: tuple[BufferOverride, ...] = ()


class LoadOptions(Value, frozen=True, kw_only=True):
    """Everything that decides how a model is loaded.

    context_tokens: cells of the unified KV cache shared by all sequences; None lets the engine
        choose (it reports the choice in `ModelInfo.context_tokens`).
    parallel: requests that may run at once.
    batch_tokens, micro_batch_tokens: llama.cpp's n_batch and n_ubatch.
    threads: CPU threads for decode; None for the physical cores.
    memory: how weights are read: "mmap", "mlock" (mmap and pinned) or "read" (no mmap).
    repack: copy weights in RAM into the form the CPU is fastest with; mapped ones stay mapped
        only without it.
    chat_template: replaces the model's own when given.
    expert_kernels: Freehold's own on a GPU, on or off; None for what the environment says.
    """

    path: str
    placement: Placement = Placement()
    context_tokens: int | None = None
    parallel: int = 4
    batch_tokens: int = 2048
    micro_batch_tokens: int = 512
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    threads: int | None = None
    threads_batch: int | None = None
    memory: Literal["mmap", "mlock", "read"] = "mmap"
    repack: bool = True
    embeddings: bool = False
    chat_template: str | None = None
    expert_kernels: bool | None = None


class ModelInfo(Value, frozen=True, kw_only=True):
    """What the loaded model is, as llama.cpp reports it.

    buffers: bytes by device name and kind, as `{"CPU": {"model": …, "context": …, "compute": …}}`.
    """

    description: str
    architecture: str
    parameters: int
    bytes: int
    vocab_size: int
    trained_context_tokens: int
    context_tokens: int
    parallel: int
    embedding_size: int
    has_encoder: bool
    has_infill: bool
    supports_tools: bool
    supports_thinking: bool
    chat_template: str | None
    devices: tuple[str, ...]
    buffers: dict[str, dict[str, int]]
    backend: str
    bos_text: str = ""
    eos_text: str = ""


# --- generate --------------------------------------------------------------------------------


class SamplingParams(Value, frozen=True, kw_only=True):
    """llama.cpp's sampler chain; every number is checked against its bounds before use.

    temperature: None is what the model's file recommends, or llama.cpp's own 0.8.
    """

    temperature: float | None = None
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: Literal[0, 1, 2] = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    ignore_eos: bool = False


class Prompt(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    """What a request starts from."""


class ChatPrompt(Prompt, frozen=True, kw_only=True):
    """Messages in OpenAI's shape, rendered by the model's own template in the engine process."""

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = False
    enable_thinking: bool | None = None
    template_kwargs: dict[str, Any] = {}
    add_generation_prompt: bool = True
    continue_final_message: bool = False


class TextPrompt(Prompt, frozen=True, kw_only=True):
    """Plain text (special tokens parsed) or tokens, as `/v1/completions` takes them."""

    text: str | None = None
    tokens: tuple[int, ...] | None = None


class InfillPrompt(Prompt, frozen=True, kw_only=True):
    """Text before and after the place to be filled."""

    prefix: str
    suffix: str


class GenerateRequest(Value, frozen=True, kw_only=True):
    """One sequence to generate.

    id: chosen by the caller, unique among running requests.
    key: owner of the cached prefix; prefixes are shared only between requests of the same key.
    priority_key: who is served fairly against whom (an API key or the window).
    grammar: GBNF; json_schema: JSON text; at most one of them, and not together with tools.
    logprobs: number of alternatives per token, None for no log probabilities.
    """

    id: str
    prompt: ChatPrompt | TextPrompt | InfillPrompt
    key: str = ""
    priority_key: str = ""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: SamplingParams = SamplingParams()
    grammar: str | None = None
    json_schema: str | None = None
    logprobs: int | None = None


class TokenLogprob(Value, frozen=True, kw_only=True):
    """A token, its natural-log probability and the likeliest alternatives."""

    token: str
    bytes: tuple[int, ...]
    logprob: float
    top: tuple[tuple[str, tuple[int, ...], float], ...] = ()


class ToolCallDelta(Value, frozen=True, kw_only=True):
    """A piece of one tool call; `name` and `call_id` come once, `arguments` in pieces."""

    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""


class UsedEnergy(Value, frozen=True, kw_only=True):
    """Energy above idle that a request used, and the level of the meter that says so.

    level: "wall", "gpu+cpu", "gpu" or "estimate" (± 50 %). duration_s: from asking to the end.
    money: what it cost by the tariff in force, "" where there is none.
    """

    joules: float
    level: str
    duration_s: float
    money: str = ""
    currency: str = ""


class Usage(Value, frozen=True, kw_only=True):
    """Tokens of one request; `cached` of the prompt were not computed again."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    energy: UsedEnergy | None = None


class Timings(Value, frozen=True, kw_only=True):
    """Durations in seconds on the worker's monotonic clock, and the speeds that follow."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    first_token_s: float = 0.0
    decode_tokens_per_s: float = 0.0
    prefill_tokens_per_s: float = 0.0


class WireError(Value, frozen=True, kw_only=True):
    """`AppError` as data."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    detail: dict[str, Any] = {}
