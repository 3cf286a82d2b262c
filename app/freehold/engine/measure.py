"""Say what loading a model would allocate, device by device, without allocating it.

`python -m freehold.engine.measure` reads one `LoadOptions` as JSON per line and answers each with
`{"devices": {"CPU": {"model": …, "context": …, "compute": …}}, "nodes": …}` or `{"error": {…}}`.
llama.cpp itself works the sizes out (`no_alloc`), so a sparse file that holds a header alone will
do. What llama.cpp aborts on ends this process and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, Final

import msgspec
from llama_cpp import llama_cpp as native

from freehold.engine.llama_context import slot_count
from freehold.engine.llama_log import NativeLog
from freehold.engine.llama_params import ModelParams, check_options, context_params
from freehold.engine.load_errors import explain_failure
from freehold.engine.loading import EMBED_ONLY_CELLS
from freehold.engine.native_step import memory_breakdown
from freehold.engine.requests import LoadOptions
from freehold.errors import AppError, internal

DEFAULT_CONTEXT_TOKENS: Final = 16_384
LOAD_MODE_NONE: Final = 0  # with mmap llama.cpp aborts on an assertion when it allocates nothing

Breakdown = dict[str, dict[str, int]]


def measure(options: LoadOptions, log: NativeLog) -> Breakdown:
    """Return the bytes each device would hold: model, context and compute.

    Raises: AppError as loading the model would.
    """
    log.clear()
    check_options(options)
    params = ModelParams(options, lambda _fraction: True)
    params.value.no_alloc = True
    params.value.load_mode = LOAD_MODE_NONE
    model: Any = native.llama_model_load_from_file(os.fsencode(options.path), params.value)
    if not model:
        raise explain_failure(log.lines())
    try:
        return _measure_context(model, options, log)
    finally:
        native.llama_model_free(model)


def _measure_context(model: Any, options: LoadOptions, log: NativeLog) -> Breakdown:
    if options.embeddings:
        options = msgspec.structs.replace(
            options,
            context_tokens=EMBED_ONLY_CELLS,
            parallel=1,
            batch_tokens=EMBED_ONLY_CELLS,
        )
    is_stateful = native.llama_model_is_recurrent(model) or native.llama_model_is_hybrid(model)
    trained = native.llama_model_n_ctx_train(model) or DEFAULT_CONTEXT_TOKENS
    settings = context_params(
        options,
        context_tokens=options.context_tokens or min(trained, DEFAULT_CONTEXT_TOKENS),
        slots=slot_count(options.parallel, is_stateful=bool(is_stateful)),
        abort=native.ggml_abort_callback(),
        abort_data=0,
    )
    context: Any = native.llama_init_from_model(model, settings)
    if not context:
        raise explain_failure(log.lines())
    try:
        return memory_breakdown(context)
    finally:
        native.llama_free(context)


def graph_nodes(lines: list[str]) -> int | None:
    """Return how many nodes the graph of one token has, as llama.cpp logs it.

    `nodes = 211` or, where prompts differ, `nodes = 215 / 211`.
    """
    for line in reversed(lines):
        found = re.search(r"\bnodes = (\d+)(?: / (\d+))?", line)
        if found:
            return int(found[2] or found[1])
    return None


def main() -> int:
    """Answer every line of standard input."""
    native.llama_backend_init()
    log = NativeLog()
    log.install()
    for line in sys.stdin:
        answer: dict[str, object]
        try:
            options = msgspec.json.decode(line, type=LoadOptions)
            answer = {"devices": measure(options, log), "nodes": graph_nodes(log.lines())}
        except AppError as error:
            answer = {"error": error.to_dict()}
        except msgspec.DecodeError:
            answer = {"error": internal().to_dict()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
