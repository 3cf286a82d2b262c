"""The grammars of the formats allow what each family writes, and nothing else where they bind.

The logits are overwritten before each step so that the wanted token is by far the likeliest: it is
sampled exactly if the grammar allows it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import llama_cpp
import pytest

from doubles.chat_outputs import FAMILIES, FORECAST_TOOL, WEATHER_TOOL, Family
from doubles.models import tiny_model
from freehold.engine.chat_format import FormatHelper
from freehold.engine.chat_values import AppliedPrompt, GrammarConstraint
from freehold.engine.native import templates_folder
from freehold.engine.native_step import SampleStep, TokenSampler
from freehold.engine.requests import ChatPrompt

pytestmark = pytest.mark.engine

USER = {"role": "user", "content": "What is the weather?"}
TOOLS = (WEATHER_TOOL, FORECAST_TOOL)


class Puppet:
    """A model that wants to say what it is told."""

    def __init__(self, model: int, context: int) -> None:
        self.model = model
        self.context = context
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(1), 1)
        assert llama_cpp.llama_decode(context, batch) == 0

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        buffer = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), buffer, len(buffer), False, True
        )
        return buffer[:count]

    def say(self, text: str, constraint: GrammarConstraint | None) -> tuple[str, bool]:
        """Try to say `text` and stop; return what was said, and whether all of it was allowed."""
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        said = b""
        with TokenSampler(self.model, chain, constraint) as sampler:
            step = SampleStep(self.context, 1)
            for token in [*self.tokenize(text), llama_cpp.llama_vocab_eos(self.vocab)]:
                row = llama_cpp.llama_get_logits_ith(self.context, -1)
                for other in range(self.vocab_size):
                    row[other] = 0.0
                row[token] = 1e6
                (sampled,) = step.run([sampler], [-1])
                if sampled.token != token:
                    return said.decode("utf-8", "replace"), False
                said += sampled.piece
        return said.decode(), True


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: object) -> None:
    """Swallow llama.cpp's log."""


@pytest.fixture(scope="module")
def puppet() -> Iterator[Puppet]:
    llama_cpp.llama_log_set(_silent, None)
    model = llama_cpp.llama_model_load_from_file(
        str(tiny_model()).encode(), llama_cpp.llama_model_default_params()
    )
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = 64
    parameters.n_threads = parameters.n_threads_batch = 1
    context = llama_cpp.llama_init_from_model(model, parameters)
    yield Puppet(model, context)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)


@functools.cache
def applied(family: Family, choice: str) -> AppliedPrompt:
    source = (templates_folder() / f"{family.template}.jinja").read_text()
    formats = FormatHelper(source, bos_text="<s>", eos_text="</s>")
    try:
        return formats.apply(
            ChatPrompt(messages=(USER,), tools=TOOLS, tool_choice=choice, parallel_tool_calls=True)
        )
    finally:
        formats.close()


CALLING = [family for family in FAMILIES if family.call is not None]
by_template = pytest.mark.parametrize("family", CALLING, ids=lambda family: family.template)


@by_template
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_what_the_family_writes_is_allowed(puppet: Puppet, family: Family, choice: str) -> None:
    constraint = applied(family, choice).constraint
    for output in family.outputs():
        if output.tools and (output.expected.calls or choice == "auto"):
            said, whole = puppet.say(output.text, constraint)
            assert whole, f"{output.name}: refused after {said!r}"


@by_template
def test_a_required_call_cannot_be_left_out(puppet: Puppet, family: Family) -> None:
    answer = next(output for output in family.outputs() if output.name == "answer with tools")
    _, whole = puppet.say(answer.text, applied(family, "required").constraint)
    assert not whole


@by_template
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_call_of_no_tool_is_refused(puppet: Puppet, family: Family, choice: str) -> None:
    constraint = applied(family, choice).constraint
    if constraint is None:
        pytest.skip("the family's calls have no mark a grammar could wake at")
    call = next(output for output in family.outputs() if output.name == "one call")
    said, whole = puppet.say(call.text.replace("get_weather", "get_money"), constraint)
    assert not whole
    assert "get_money" not in said


@by_template
def test_thoughts_may_hold_what_would_wake_the_grammar(puppet: Puppet, family: Family) -> None:
    if family.thought is None:
        pytest.skip("the family has no thoughts")
    constraint = applied(family, "auto").constraint
    assert constraint is not None
    words = "".join(trigger.value for trigger in constraint.triggers if trigger.kind == "word")
    if not words:
        pytest.skip("the family's triggers are patterns")
    thought = family.thought.replace("{}", f"I could write {words} but do not.")
    rest = family.outputs()[0].text.removeprefix(family.no_thought)
    said, whole = puppet.say(thought + rest, constraint)
    assert whole, f"refused after {said!r}"
