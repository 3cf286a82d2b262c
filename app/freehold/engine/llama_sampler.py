"""Builds llama.cpp sampler chains from checked stages."""

from __future__ import annotations

import ctypes
from typing import Any

from llama_cpp import llama_cpp as native

from freehold.engine.chat_values import GrammarConstraint
from freehold.engine.native_step import TokenSampler
from freehold.engine.sampling import Stage

MIROSTAT_M = 100  # tokens considered for the estimate, as in the paper


def build_sampler(
    model: Any, vocab: Any, stages: tuple[Stage, ...], constraint: GrammarConstraint | None
) -> TokenSampler:
    """Return the sampler of one request; the caller closes it.

    Raises: AppError `invalid_grammar`.
    """
    params = native.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = native.llama_sampler_chain_init(params)
    for stage in stages:
        native.llama_sampler_chain_add(chain, _build(stage, model, vocab))
    return TokenSampler(model, chain, constraint)


def _build(stage: Stage, model: Any, vocab: Any) -> Any:
    vocab_size = native.llama_vocab_n_tokens(vocab)
    arguments: Any = stage.arguments
    match stage.name:
        case "logit_bias":
            (pairs,) = arguments
            biases = (native.llama_logit_bias * len(pairs))(*pairs)
            return native.llama_sampler_init_logit_bias(vocab_size, len(pairs), biases)
        case "dry":
            *numbers, breakers = arguments
            texts = (ctypes.c_char_p * len(breakers))(*(text.encode() for text in breakers))
            return native.llama_sampler_init_dry(vocab, *numbers, texts, len(breakers))
        case "mirostat":
            return native.llama_sampler_init_mirostat(vocab_size, *arguments, MIROSTAT_M)
        case "penalties":
            return native.llama_sampler_init_penalties(vocab_size, *arguments)
        case name:
            return getattr(native, f"llama_sampler_init_{name}")(*arguments)
