"""Convert all-MiniLM-L6-v2 from its published checkpoint to GGUF.

Vectors, embeddings of positions and of token types stay float32, as llama.cpp expects.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import gguf
import numpy as np

CHECKPOINT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
TOP_NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
ALWAYS_F32 = {"position_embd.weight", "token_types.weight"}
TYPES = {
    "F32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def check_checkpoint(path: Path) -> None:
    """Refuse any file but the published one."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != CHECKPOINT_SHA256:
        raise SystemExit(f"{path} is not the published checkpoint (SHA-256 {found}).")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[start:end], dtype="<f4").reshape(entry["shape"])
    return tensors


def gguf_name(name: str) -> str | None:
    """Return the GGUF name of a checkpoint tensor, None for one that is not needed."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    if not name.startswith("encoder.layer."):
        return None
    _, _, number, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{number}.{LAYER_NAMES[stem]}.{kind}"


def vocabulary(folder: Path) -> tuple[list[str], list[int]]:
    """Return WordPiece tokens with word starts marked by U+2581, and their types."""
    tokens, types = [], []
    for line in (folder / "vocab.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("[") and line.endswith("]") and len(line) > 2:
            unused = line.startswith("[unused")
            tokens.append(line)
            types.append(int(gguf.TokenType.UNUSED if unused else gguf.TokenType.CONTROL))
        else:
            tokens.append(line[2:] if line.startswith("##") else "\u2581" + line)
            types.append(int(gguf.TokenType.NORMAL))
    return tokens, types


def write_gguf(folder: Path, out: Path, kind: str) -> None:
    """Write the model in `folder` to `out` with matrices of type `kind`."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    quantisation, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(out, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_author("sentence-transformers")
    writer.add_license("apache-2.0")
    writer.add_description("Sentence embedder, 384 dimensions, mean pooling")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tokens, types = vocabulary(folder)
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = {token: index for index, token in enumerate(tokens)}
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_mask_token_id(special["[MASK]"])
    writer.add_unk_token_id(special["[UNK]"])
    for name, tensor in read_safetensors(folder / "model.safetensors").items():
        target = gguf_name(name)
        if target is None:
            continue
        if tensor.ndim == 2 and target not in ALWAYS_F32 and kind != "F32":
            data = gguf.quants.quantize(tensor, quantisation)
            writer.add_tensor(target, data, raw_dtype=quantisation)
        else:
            writer.add_tensor(target, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
