"""Writes the network as GGUF, under the names and in the form llama.cpp's `deepseek2` wants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import gguf
import numpy as np
from numpy.typing import NDArray

from freehold.library.model_maker.recipe import kimi_template
from freehold.library.model_maker.vocabulary import KIMI_SPECIALS
from starter_model.shape import Shape

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]
SIGMOID: Final = 2
NAME: Final = "Freehold Starter"
DESCRIPTION: Final = (
    "Freehold's small starter model: it explains the app, answers from short texts and calls"
    " tools. Trained from scratch by the Freehold project on text it generates itself."
)
FILE_TYPES: Final = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
LAYER_NAMES: Final = {
    "attention_norm.weight": "attn_norm.weight",
    "attention.q_a.weight": "attn_q_a.weight",
    "attention.q_a_norm.weight": "attn_q_a_norm.weight",
    "attention.q_b.weight": "attn_q_b.weight",
    "attention.kv_a.weight": "attn_kv_a_mqa.weight",
    "attention.kv_a_norm.weight": "attn_kv_a_norm.weight",
    "attention.output.weight": "attn_output.weight",
    "forward_norm.weight": "ffn_norm.weight",
    "feed_forward.gate.weight": "ffn_gate.weight",
    "feed_forward.up.weight": "ffn_up.weight",
    "feed_forward.down.weight": "ffn_down.weight",
    "feed_forward.router": "ffn_gate_inp.weight",
    "feed_forward.bias": "exp_probs_b.bias",
    "feed_forward.down": "ffn_down_exps.weight",
    "feed_forward.shared.gate.weight": "ffn_gate_shexp.weight",
    "feed_forward.shared.up.weight": "ffn_up_shexp.weight",
    "feed_forward.shared.down.weight": "ffn_down_shexp.weight",
}
TOP_NAMES: Final = {
    "embedding.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "output.weight": "output.weight",
}
ALWAYS_F32: Final = ("ffn_gate_inp.weight",)


def gguf_tensors(weights: dict[str, Floats], shape: Shape) -> Iterator[tuple[str, Floats]]:
    """Yield every tensor under its GGUF name; keys and values are split by heads."""
    for name, weight in weights.items():
        if name in TOP_NAMES:
            yield TOP_NAMES[name], weight
            continue
        _, number, rest = name.split(".", 2)
        at = f"blk.{number}."
        if rest == "attention.k_b.weight":
            # llama.cpp multiplies queries by it: for each head (kv rank, nope).
            heads = weight.reshape(shape.heads, shape.nope, shape.kv_rank)
            yield f"{at}attn_k_b.weight", np.ascontiguousarray(heads.transpose(0, 2, 1))
        elif rest == "attention.v_b.weight":
            yield f"{at}attn_v_b.weight", weight.reshape(shape.heads, shape.value, shape.kv_rank)
        elif rest == "feed_forward.gate_up":
            yield f"{at}ffn_gate_exps.weight", np.ascontiguousarray(weight[:, 0])
            yield f"{at}ffn_up_exps.weight", np.ascontiguousarray(weight[:, 1])
        else:
            yield f"{at}{LAYER_NAMES[rest]}", weight


def write_gguf(
    path: Path, weights: dict[str, Floats], shape: Shape, tokenizer: Tokenizer, kind: str
) -> None:
    """Write the model with matrices of type `kind`: F32, F16 or Q8_0."""
    quantisation, file_type = FILE_TYPES[kind]
    writer = gguf.GGUFWriter(path, "deepseek2")
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_author("The Freehold project")
    writer.add_float32(gguf.Keys.General.SAMPLING_TEMP, 0.0)  # measured greedy, and best so
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_sizes(writer, shape)
    _add_tokenizer(writer, tokenizer)
    for name, weight in gguf_tensors(weights, shape):
        if weight.ndim >= 2 and name.split(".", 2)[-1] not in ALWAYS_F32 and kind != "F32":
            data = gguf.quants.quantize(weight, quantisation)
            writer.add_tensor(name, data, raw_dtype=quantisation)
        else:
            writer.add_tensor(name, np.ascontiguousarray(weight, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_sizes(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.dense_width)
    writer.add_leading_dense_block_count(1)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_q_lora_rank(shape.q_rank)
    writer.add_kv_lora_rank(shape.kv_rank)
    writer.add_key_length(shape.kv_rank + shape.rope)
    writer.add_value_length(shape.kv_rank)
    writer.add_key_length_mla(shape.key)
    writer.add_value_length_mla(shape.value)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(shape.experts_used)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(shape.expert_width)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType(SIGMOID))
    writer.add_expert_weights_norm(True)
    writer.add_expert_weights_scale(shape.expert_scale)
    writer.add_rope_dimension_count(shape.rope)
    writer.add_rope_freq_base(shape.rope_base)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())]
    special = set(KIMI_SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("kimi-k2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [
            int(gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL)
            for token in tokens
        ]
    )
    writer.add_token_merges(
        [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    )
    writer.add_bos_token_id(tokens.index("[BOS]"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_unk_token_id(tokens.index("[UNK]"))
    writer.add_pad_token_id(tokens.index("[PAD]"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(kimi_template())
