"""Chat formats of known families: rendering, and reading outputs whole and in every cut."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator

import pytest

from doubles.chat_outputs import (
    FAMILIES,
    FORECAST_TOOL,
    WEATHER_TOOL,
    Expected,
    Family,
    Output,
)
from freehold.engine.chat_format import FormatHelper, OutputParser
from freehold.engine.chat_values import AppliedPrompt
from freehold.engine.native import templates_folder
from freehold.engine.requests import ChatPrompt
from freehold.errors import AppError

pytestmark = pytest.mark.engine

USER = {"role": "user", "content": "What is the weather?"}
TOOLS = (WEATHER_TOOL, FORECAST_TOOL)


class Reader:
    """Feeds a parser and joins what it tells, checking that each call's name comes once."""

    def __init__(self, applied: AppliedPrompt, *, eager: bool = True) -> None:
        self._parser = OutputParser(applied, eager=eager)
        self.content = self.reasoning = ""
        self.calls: list[dict[str, str]] = []

    def feed(self, text: str, final: bool = False) -> None:
        delta = self._parser.feed(text, final)
        self.content += delta.content
        self.reasoning += delta.reasoning
        for call in delta.tool_calls:
            if call.name is not None:
                assert call.index == len(self.calls), "a call is named twice or out of order"
                assert call.call_id
                self.calls.append({"name": call.name, "id": call.call_id, "arguments": ""})
            self.calls[call.index]["arguments"] += call.arguments

    def message(self) -> Expected:
        calls = tuple((call["name"], json.loads(call["arguments"])) for call in self.calls)
        return Expected(self.content, self.reasoning, calls)


def helper(template: str, **options: object) -> FormatHelper:
    source = (templates_folder() / f"{template}.jinja").read_text()
    return FormatHelper(source, bos_text="<s>", eos_text="</s>", **options)  # type: ignore[arg-type]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.template)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def formats(family: Family) -> Iterator[FormatHelper]:
    formats = helper(family.template)
    yield formats
    formats.close()


@functools.cache
def applied_for(family: Family) -> tuple[AppliedPrompt, AppliedPrompt]:
    """Return the family's chat rendered without and with tools."""
    formats = helper(family.template)
    plain = formats.apply(ChatPrompt(messages=(USER,)))
    armed = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS, parallel_tool_calls=True))
    formats.close()
    return plain, armed


@pytest.fixture
def outputs(family: Family) -> list[tuple[Output, AppliedPrompt]]:
    plain, armed = applied_for(family)
    return [(output, armed if output.tools else plain) for output in family.outputs()]


def test_renders_with_and_without_tools(family: Family, formats: FormatHelper) -> None:
    plain = formats.apply(ChatPrompt(messages=(USER,)))
    assert USER["content"] in plain.prompt
    assert plain.constraint is None
    armed = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS))
    if family.call is not None:
        assert "get_weather_forecast" in armed.prompt
        forced = formats.apply(
            ChatPrompt(messages=(USER,), tools=TOOLS, tool_choice="required")
        ).constraint
        assert forced is not None
        assert "get_weather" in forced.grammar
        assert not forced.lazy
    assert (family.thought is not None) <= plain.thinking


def test_renders_a_turn_with_a_tool_call_and_its_result(
    family: Family, formats: FormatHelper
) -> None:
    if family.call is None:
        pytest.skip("the family has no tool calls")
    call = {
        "id": "abcdefghi",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
    }
    messages = (
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcdefghi", "name": "get_weather", "content": "sunny"},
    )
    prompt = formats.apply(ChatPrompt(messages=messages, tools=TOOLS)).prompt
    assert "Rome" in prompt
    assert "sunny" in prompt


def test_reads_outputs_whole(outputs: list[tuple[Output, AppliedPrompt]]) -> None:
    for output, applied in outputs:
        reader = Reader(applied)
        reader.feed(output.text, final=True)
        assert reader.message() == output.expected, output.name


def test_a_long_chat_changes_nothing_in_how_answers_are_read(
    family: Family, formats: FormatHelper
) -> None:
    turns = [
        {"role": role, "content": f"{role} says {number}."}
        for number in range(8)
        for role in ("user", "assistant")
    ]
    chat = ({"role": "system", "content": "Be kind."}, *turns, USER)
    plain = formats.apply(ChatPrompt(messages=chat))
    armed = formats.apply(ChatPrompt(messages=chat, tools=TOOLS, parallel_tool_calls=True))
    assert "assistant says 7." in plain.prompt
    for output in family.outputs():
        reader = Reader(armed if output.tools else plain)
        reader.feed(output.text, final=True)
        assert reader.message() == output.expected, output.name


@pytest.mark.parametrize("eager", [True, False], ids=["every-parse", "bounded"])
def test_joined_deltas_equal_the_whole(
    family: Family, outputs: list[tuple[Output, AppliedPrompt]], eager: bool
) -> None:
    """Character by character: what was told is never taken back and shows no markup."""
    for output, applied in outputs:
        reader = Reader(applied, eager=eager)
        for character in output.text:
            reader.feed(character)
            shown = reader.content + reader.reasoning
            assert not any(marker in shown for marker in family.markers), output.name
            assert output.expected.content.startswith(reader.content), output.name
            assert output.expected.reasoning.startswith(reader.reasoning), output.name
            names = [name for name, _ in output.expected.calls]
            assert [call["name"] for call in reader.calls] == names[: len(reader.calls)]
        reader.feed("", final=True)
        assert reader.message() == output.expected, output.name


def test_cut_off_anywhere_leaks_no_markup(
    family: Family, outputs: list[tuple[Output, AppliedPrompt]]
) -> None:
    """An answer that hits its token limit ends at any character."""
    for output, applied in outputs:
        for end in range(0, len(output.text), 3):
            reader = Reader(applied)
            reader.feed(output.text[:end], final=True)
            if output.tools and family.call in FREE_TEXT_CALLS:
                continue
            shown = reader.content + reader.reasoning
            assert not any(marker in shown for marker in family.markers), (output.name, end, shown)


# A call that is bare JSON cannot be told from an answer in JSON until it is complete.
FREE_TEXT_CALLS = frozenset(
    family.call for family in FAMILIES if family.template.startswith("meta-llama")
)


def test_a_long_answer_is_told_as_it_comes(
    family: Family, outputs: list[tuple[Output, AppliedPrompt]]
) -> None:
    """The bounded reader keeps up: it never holds back more than the end of the text."""
    output, applied = outputs[0]
    reader = Reader(applied, eager=False)
    reader.feed(output.text[: output.text.index("Hello") + 20])
    sent = told = 0
    for number in range(300):
        word = f" word{number}"
        reader.feed(word)
        sent += len(word)
    told = len(reader.content)
    assert told > sent * 0.5, f"{told} of {sent} characters told"


@pytest.mark.parametrize("template", ["Kimi-K2-Thinking", "Qwen-Qwen3-0.6B", "GLM-4.6"])
def test_output_of_no_format_is_kept(template: str) -> None:
    formats = helper(template)
    applied = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS))
    formats.close()
    for text in (
        "<tool_call>\nnot json at all\n</tool_call> and more",
        "<|tool_call_begin|>functions.unknown:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
        "\x00\ufffd odd </think> </think> <think> text",
    ):
        reader = Reader(applied)
        for character in text:
            reader.feed(character)
        reader.feed("", final=True)
        joined = reader.content + reader.reasoning + "".join(c["name"] for c in reader.calls)
        assert joined.strip(), text


@pytest.mark.parametrize("opening", ["[", '{"a":', "[1,"])
@pytest.mark.parametrize("depth", [490, 200_000])
def test_a_model_nesting_brackets_without_end_is_harmless(opening: str, depth: int) -> None:
    """Whatever the depth, reading takes less than the 2 MB of stack given here."""
    formats = helper("Qwen-Qwen3-0.6B")
    applied = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS))
    formats.close()
    reader = Reader(applied)

    def read() -> None:
        reader.feed('<tool_call>\n{"name": "get_weather", "arguments": {"city": ')
        reader.feed(opening * depth)
        reader.feed("", final=True)

    before = threading.stack_size(2 * 1024**2)
    thread = threading.Thread(target=read)
    thread.start()
    threading.stack_size(before)
    thread.join()
    told = reader.content + "".join(call["arguments"] for call in reader.calls)
    assert len(told) >= len(opening) * depth


def test_continues_a_message() -> None:
    formats = helper("Qwen-Qwen3-0.6B")
    applied = formats.apply(
        ChatPrompt(
            messages=(USER, {"role": "assistant", "content": "The weather is"}),
            continue_final_message=True,
            add_generation_prompt=False,
        )
    )
    formats.close()
    assert applied.prompt.endswith("The weather is")
    reader = Reader(applied)
    reader.feed(" fine.", final=True)
    assert reader.message() == Expected(content=" fine.")


def test_without_reading_thoughts_they_stay_in_the_content() -> None:
    formats = helper("Kimi-K2-Thinking")
    applied = formats.apply(ChatPrompt(messages=(USER,)), read_thinking=False)
    formats.close()
    reader = Reader(applied)
    reader.feed("<think>hm</think>Hi", final=True)
    assert reader.message() == Expected(content="<think>hm</think>Hi")
    assert not applied.thinking


def test_thinking_can_be_switched_off() -> None:
    formats = helper("Qwen-Qwen3-0.6B")
    quiet = formats.apply(ChatPrompt(messages=(USER,), enable_thinking=False)).prompt
    loud = formats.apply(ChatPrompt(messages=(USER,), enable_thinking=True)).prompt
    by_kwargs = formats.apply(
        ChatPrompt(messages=(USER,), template_kwargs={"enable_thinking": False})
    ).prompt
    formats.close()
    assert quiet == by_kwargs
    assert quiet != loud


def test_no_template_means_chatml() -> None:
    formats = FormatHelper(None)
    prompt = formats.apply(ChatPrompt(messages=(USER,))).prompt
    formats.close()
    assert prompt == "<|im_start|>user\nWhat is the weather?<|im_end|>\n<|im_start|>assistant\n"


def test_describes_abilities() -> None:
    kimi, chatml = helper("Kimi-K2-Thinking"), FormatHelper(None)
    able, plain = kimi.describe(), chatml.describe()
    kimi.close()
    chatml.close()
    assert able.supports_tools
    assert able.supports_thinking
    assert not plain.supports_tools
    assert not plain.supports_thinking


def test_tools_are_told_where_the_template_does_not() -> None:
    formats = helper("deepseek-ai-DeepSeek-V3.1")
    able = formats.describe()
    armed = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS)).prompt
    silent = formats.apply(ChatPrompt(messages=(USER,), tools=TOOLS, tool_choice="none")).prompt
    formats.close()
    assert able.supports_tools
    assert not able.names_tools
    assert "### get_weather_forecast\nDescription: Tells the weather" in armed
    assert "get_weather" not in silent


def test_bos_that_the_tokenizer_adds_is_not_rendered_twice() -> None:
    formats = helper("meta-llama-Llama-3.1-8B-Instruct", add_bos=True)
    added = formats.apply(ChatPrompt(messages=(USER,))).pieces[0]
    formats.close()
    formats = helper("meta-llama-Llama-3.1-8B-Instruct")
    rendered = formats.apply(ChatPrompt(messages=(USER,))).pieces[0]
    formats.close()
    assert rendered == "<s>" + added


def test_a_named_tool_is_the_only_one_allowed() -> None:
    formats = helper("Kimi-K2-Instruct")
    choice = {"type": "function", "function": {"name": "get_weather_forecast"}}
    constraint = formats.apply(
        ChatPrompt(messages=(USER,), tools=TOOLS, tool_choice=choice)
    ).constraint
    assert constraint is not None
    assert "functions.get_weather" not in constraint.grammar.replace("get_weather_forecast", "")
    with pytest.raises(AppError, match="not a tool") as raised:
        formats.apply(
            ChatPrompt(
                messages=(USER,),
                tools=TOOLS,
                tool_choice={"type": "function", "function": {"name": "other"}},
            )
        )
    assert raised.value.code == "invalid_request"
    formats.close()


@pytest.mark.parametrize("template", ["Kimi-K2-Instruct", "Qwen-Qwen3-0.6B", "openai-gpt-oss-120b"])
def test_a_schema_becomes_a_grammar(template: str) -> None:
    formats = helper(template)
    schema = '{"type": "object", "properties": {"colour": {"type": "string"}}}'
    constraint = formats.apply(ChatPrompt(messages=(USER,)), json_schema=schema).constraint
    formats.close()
    assert constraint is not None
    assert "colour" in constraint.grammar
    assert not constraint.lazy


@pytest.mark.parametrize(
    "messages",
    [
        ({"content": "no role"},),
        ({"role": "user"},),
        ({"role": "user", "content": 3},),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]},),
        ({"role": "assistant", "content": "", "tool_calls": [{"type": "function"}]},),
    ],
)
def test_malformed_messages_are_the_callers_fault(messages: tuple[dict[str, object], ...]) -> None:
    formats = helper("Kimi-K2-Instruct")
    with pytest.raises(AppError) as raised:
        formats.apply(ChatPrompt(messages=messages))
    formats.close()
    assert raised.value.code == "invalid_request"
    assert raised.value.hint
