"""`FilesClient` without a server: what model files hold, as a test says.

    client.files.tensors_of["kimi"] = kimi_tensors()
    client.files.templates["kimi"] = "{{ messages }}"

A model nothing was said about has the parts of Kimi K2.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import msgspec

from freehold.errors import AppError
from freehold.library.anatomy import piece_of
from freehold.library.comparing import compare
from freehold.library.inspector import BASE, relatives
from freehold.library.making.recipe import make_recipe, result_name
from freehold.wire import AnyEvent, Changed, ModelEntry
from freehold.wire_files import (
    ConvertRequest,
    Duplicates,
    LayerBytes,
    Making,
    MetadataRow,
    ModelAnatomy,
    ModelFileRow,
    QuantisePlan,
    QuantiseRequest,
    SpecialToken,
    TemplateComparison,
    TensorRow,
    TokenizerFacts,
)

TEMPLATE = """{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    <|im_user|>user<|im_middle|>{{ message.content }}<|im_end|>
  {%- else -%}
    <|im_assistant|>assistant<|im_middle|>{{ message.content }}<|im_end|>
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_assistant|>assistant<|im_middle|>
{%- endif -%}
"""
LAYER = (
    ("attn_norm.weight", "F32", (7168,), 28_672),
    ("attn_q_a.weight", "Q8_0", (7168, 1536), 11_698_176),
    ("attn_q_a_norm.weight", "F32", (1536,), 6_144),
    ("attn_q_b.weight", "Q8_0", (1536, 12288), 20_054_016),
    ("attn_kv_a_mqa.weight", "Q8_0", (7168, 576), 4_386_816),
    ("attn_kv_a_norm.weight", "F32", (512,), 2_048),
    ("attn_k_b.weight", "Q8_0", (128, 512, 64), 4_456_448),
    ("attn_v_b.weight", "Q8_0", (512, 128, 64), 4_456_448),
    ("attn_output.weight", "Q8_0", (8192, 7168), 62_390_272),
    ("ffn_norm.weight", "F32", (7168,), 28_672),
)
DENSE = (
    ("ffn_gate.weight", "Q5_K", (7168, 18432), 90_832_896),
    ("ffn_up.weight", "Q5_K", (7168, 18432), 90_832_896),
    ("ffn_down.weight", "Q6_K", (18432, 7168), 108_380_160),
)
MOE = (
    ("ffn_gate_inp.weight", "F32", (7168, 384), 11_010_048),
    ("exp_probs_b.bias", "F32", (384,), 1_536),
    ("ffn_gate_exps.weight", "Q2_K", (7168, 2048, 384), 1_849_688_064),
    ("ffn_up_exps.weight", "Q2_K", (7168, 2048, 384), 1_849_688_064),
    ("ffn_down_exps.weight", "Q3_K", (2048, 7168, 384), 2_422_210_560),
    ("ffn_gate_shexp.weight", "Q6_K", (7168, 2048), 12_042_240),
    ("ffn_up_shexp.weight", "Q6_K", (7168, 2048), 12_042_240),
    ("ffn_down_shexp.weight", "Q6_K", (2048, 7168), 12_042_240),
)
OUTSIDE = (
    ("token_embd.weight", "Q4_K", (7168, 163840), 660_602_880),
    ("output.weight", "Q6_K", (7168, 163840), 963_379_200),
    ("output_norm.weight", "F32", (7168,), 28_672),
)


def kimi_tensors(layers: int = 61, files: int = 8) -> tuple[TensorRow, ...]:
    """Return the tensors of a model in Kimi K2's shape."""
    rows = [_row(*item, file=0) for item in OUTSIDE]
    for number in range(layers):
        file = number * files // layers
        for name, kind, shape, size in (*LAYER, *(MOE if number else DENSE)):
            rows.append(_row(f"blk.{number}.{name}", kind, shape, size, file=file))
    return tuple(rows)


def _row(name: str, kind: str, shape: tuple[int, ...], size: int, *, file: int) -> TensorRow:
    layer, piece = piece_of(name)
    return TensorRow(name, kind, shape, size, layer, piece, file)


def anatomy_of(
    entry: ModelEntry, tensors: tuple[TensorRow, ...], template: str = TEMPLATE
) -> ModelAnatomy:
    """Return what the page shows of a model with these tensors."""
    layers = sorted({row.layer for row in tensors if row.layer is not None})
    numbers: list[int | None] = [*layers, None]
    return ModelAnatomy(
        ref=entry.ref, name=entry.name, arch=entry.arch, kind=entry.kind, quant=entry.quant,
        parameters=entry.parameters, active_parameters=entry.active_parameters or 32_900_000_000,
        bits_per_weight=2.97, experts=entry.experts, experts_used=entry.experts_used,
        layers=len(layers), context_tokens=entry.context_tokens, embedding_size=7168,
        tensors=len(tensors), tensor_bytes=sum(row.bytes for row in tensors),
        header_bytes=6_200_000,
        files=tuple(
            ModelFileRow(
                path=f"{entry.path[:-19]}{number + 1:05}-of-{entry.shards:05}.gguf",
                bytes=sum(row.bytes for row in tensors if row.file == number),
                tensors=sum(row.file == number for row in tensors),
            )
            for number in range(entry.shards)
        ),
        bytes_by_piece=dict(_sums((row.piece, row.bytes) for row in tensors)),
        bytes_by_type=dict(_sums((row.kind, row.bytes) for row in tensors)),
        layer_bytes=tuple(
            LayerBytes(
                layer=number,
                bytes_by_piece=dict(
                    _sums((row.piece, row.bytes) for row in tensors if row.layer == number)
                ),
            )
            for number in numbers
        ),
        metadata=(
            MetadataRow(key="general.architecture", kind="text", value=entry.arch),
            MetadataRow(key="general.name", kind="text", value=entry.name),
            MetadataRow(key="deepseek2.block_count", kind="whole number", value=str(len(layers))),
            MetadataRow(key="deepseek2.expert_count", kind="whole number", value="384"),
            MetadataRow(key="deepseek2.rope.scaling.type", kind="text", value="yarn"),
            MetadataRow(
                key="tokenizer.ggml.tokens", kind="list of 163,840 (text)",
                value='!, ", #, $, %, &, \', (, …',
            ),
        ),
        tokenizer=TokenizerFacts(
            model="gpt2", pre="kimi-k2", tokens=163_840, merges=163_328,
            special=(
                SpecialToken(role="begins a text", id=163_584, text="[BOS]"),
                SpecialToken(role="ends an answer", id=163_586, text="<|im_end|>"),
            ),
        ),
        chat_template=template, templates=("tool_use",), licence="modified-mit",
        base="moonshotai/Kimi-K2-Instruct",
    )  # fmt: skip


def _sums(pairs: Iterator[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, size in pairs:
        sums[name] = sums.get(name, 0) + size
    return sums


class FakeFiles:
    """The files part of a server in memory."""

    def __init__(
        self,
        enter: Callable[..., Awaitable[None]],
        fail_next: Callable[[str, AppError], None],
        models: dict[str, ModelEntry],
        push: Callable[[AnyEvent], object],
    ) -> None:
        self.jobs: dict[str, Making] = {}
        self.plan_problem = ""
        self.found_duplicates = Duplicates()
        self._push = push
        self.tensors_of: dict[str, tuple[TensorRow, ...]] = {}
        self.templates: dict[str, str] = {}
        self.base_template = TEMPLATE
        self.fail_next = fail_next
        self._enter = enter
        self._models = models

    async def anatomy(self, ref: str) -> ModelAnatomy:
        await self._enter("files.anatomy", ref=ref)
        entry = self._entry(ref)
        found = anatomy_of(entry, self._tensors(ref), self._template(ref))
        near = relatives(entry, tuple(self._models.values()))
        return msgspec.structs.replace(found, relatives=near)

    async def tensors(self, ref: str) -> tuple[TensorRow, ...]:
        await self._enter("files.tensors", ref=ref)
        self._entry(ref)
        return self._tensors(ref)

    async def compare_templates(self, ref: str, other: str) -> TemplateComparison:
        await self._enter("files.compare_templates", ref=ref, other=other)
        self._entry(ref)
        if not self._template(ref):
            raise AppError("not_found", f"{ref} has no chat template.", "Compare another.")
        if other == BASE:
            return compare(self._template(ref), self.base_template, "moonshotai/Kimi-K2-Instruct")
        self._entry(other)
        return compare(self._template(ref), self._template(other), other)

    async def duplicates(self) -> Duplicates:
        await self._enter("files.duplicates")
        return self.found_duplicates

    async def making(self) -> tuple[Making, ...]:
        await self._enter("files.making")
        return tuple(sorted(self.jobs.values(), key=lambda job: -job.begun_at))

    async def plan_quantise(self, request: QuantiseRequest) -> QuantisePlan:
        await self._enter("files.plan_quantise", request=request)
        entry = self._entry(request.ref)
        recipe = make_recipe(request)
        name = result_name(entry.name.replace(" ", "-"), request, recipe.mix)
        return QuantisePlan(
            name=name, source_bytes=entry.bytes, bytes=entry.bytes // 4, bits_per_weight=4.5,
            tensors=1096, changed=900, bytes_by_type={recipe.mix: entry.bytes // 4},
            bytes_by_piece={"experts": entry.bytes // 5, "attention": entry.bytes // 20},
            files=entry.shards, free_bytes=812_000_000_000, problem=self.plan_problem,
        )  # fmt: skip

    async def quantise(self, request: QuantiseRequest) -> Making:
        await self._enter("files.quantise", request=request)
        plan = await self.plan_quantise(request)
        if plan.problem:
            raise AppError("disk_full", plan.problem, "Make room.")
        number = len(self.jobs) + 1
        job = Making(
            id=f"making-{number}", kind="quantise", name=plan.name, source=request.ref,
            state="running", total_bytes=plan.bytes, begun_at=float(number),
        )  # fmt: skip
        return self.put(job)

    async def convert(self, request: ConvertRequest) -> Making:
        await self._enter("files.convert", request=request)
        if not request.folder.startswith("/"):
            raise AppError("not_found", f"There is no folder at {request.folder}.", "Look again.")
        number = len(self.jobs) + 1
        return self.put(
            Making(
                id=f"making-{number}", kind="convert", name=request.name or "converted",
                source=request.folder, state="running", total_bytes=2_000_000_000,
                begun_at=float(number),
            )
        )  # fmt: skip

    async def cancel_making(self, making_id: str) -> None:
        await self._enter("files.cancel_making", making_id=making_id)
        if making_id not in self.jobs:
            raise AppError("not_found", "That is no longer in the list.", "Look again.")
        if self.jobs[making_id].state == "running":
            self.put(self.jobs[making_id], state="cancelled")
        else:
            del self.jobs[making_id]
            self._push(Changed(topic="making", id=making_id))

    def put(self, job: Making, **changes: object) -> Making:
        """Change what is being made and tell it."""
        self.jobs[job.id] = msgspec.structs.replace(job, **changes)
        self._push(Changed(topic="making", id=job.id))
        return self.jobs[job.id]

    def _entry(self, ref: str) -> ModelEntry:
        if ref not in self._models:
            raise AppError("model_not_found", f"There is no model called {ref}.", "Look again.")
        return self._models[ref]

    def _tensors(self, ref: str) -> tuple[TensorRow, ...]:
        return self.tensors_of.get(ref) or kimi_tensors()

    def _template(self, ref: str) -> str:
        return self.templates.get(ref, TEMPLATE)
