"""What models of known families write, and how it should be read apart.

One `Family` per chat template of llama.cpp's source package: how the family writes a thought, an
answer and tool calls. The tests put them together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

THOUGHT = "The user greets me.\nI should be brief: 2 < 3."
ANSWER = "Hello! Here is some `code` and a list:\n\n- one\n- two [x]\n\nif a < b: print({1: 2})"
CITIES = ("Rome", "São Paulo")

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
# A name that begins with the other's: streaming must not tell half a name.
FORECAST_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather_forecast",
        "description": "Tells the weather of the next days.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


@dataclass(frozen=True, slots=True)
class Expected:
    """The message an output stands for; calls as (name, arguments)."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, dict[str, object]], ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a family's model."""

    name: str
    text: str
    expected: Expected
    tools: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """How a family writes. `{}` stands for the text; call formats take name, JSON and number.

    thought: around a thought that comes before the answer; None if the family has none.
    no_thought: what stands before an answer without a thought.
    answer: around the answer.
    call, argument: one call and, where they are not JSON, its arguments; None if it has none.
    parallel: whether two calls can come in one answer.
    markers: what must never show in anything told.
    """

    template: str
    thought: str | None = None
    no_thought: str = ""
    answer: str = "{}"
    call: str | None = None
    argument: str | None = None
    between_arguments: str = ""
    string: str = "{}"
    around_calls: str = "{}"
    between_calls: str = ""
    parallel: bool = True
    markers: tuple[str, ...] = field(default=())

    def outputs(self) -> list[Output]:
        """Return the outputs the family is tested with."""
        lead = self.no_thought
        found = [Output("answer", lead + self._answered(), Expected(content=ANSWER))]
        if self.thought is not None:
            found.append(
                Output(
                    "thought and answer",
                    self._thought() + self._answered(),
                    Expected(content=ANSWER, reasoning=THOUGHT),
                )
            )
        if self.call is None:
            return found
        first = ("get_weather", {"city": CITIES[0]})
        second = ("get_weather_forecast", {"city": CITIES[1], "days": 3})
        found.append(Output("answer with tools", lead + self._answered(), found[0].expected, True))
        found.append(Output("one call", lead + self._calls(first), Expected(calls=(first,)), True))
        if self.parallel:
            found.append(
                Output(
                    "two calls",
                    lead + self._calls(first, second),
                    Expected(calls=(first, second)),
                    True,
                )
            )
        if self.thought is not None:
            found.append(
                Output(
                    "thought and call",
                    self._thought() + self._calls(second),
                    Expected(reasoning=THOUGHT, calls=(second,)),
                    True,
                )
            )
        return found

    def _thought(self) -> str:
        assert self.thought is not None
        return self.thought.replace("{}", THOUGHT)

    def _answered(self) -> str:
        return self.answer.replace("{}", ANSWER)

    def _calls(self, *calls: tuple[str, dict[str, object]]) -> str:
        written = [self._call(index, *call) for index, call in enumerate(calls)]
        return self.around_calls.replace("{}", self.between_calls.join(written))

    def _call(self, index: int, name: str, arguments: dict[str, object]) -> str:
        assert self.call is not None
        if self.argument is None:
            body = json.dumps(arguments, ensure_ascii=False)
        else:
            body = self.between_arguments.join(
                self.argument.replace("{key}", key).replace("{value}", self._plain(value))
                for key, value in arguments.items()
            )
        return (
            self.call.replace("{name}", name)
            .replace("{arguments}", body)
            .replace("{index}", str(index))
        )

    def _plain(self, value: object) -> str:
        if isinstance(value, str):
            return self.string.replace("{}", value)
        return json.dumps(value)


_KIMI_K2 = {
    "thought": "<think>{}</think>",
    "call": "<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}"
    "<|tool_call_end|>",
    "around_calls": "<|tool_calls_section_begin|>{}<|tool_calls_section_end|>",
    "markers": ("<|", "functions.", "think>"),
}
_LLAMA_3 = {
    "call": '{"name": "{name}", "parameters": {arguments}}',
    "parallel": False,
    "markers": ("<|", '"parameters"'),
}

FAMILIES = (
    Family("Kimi-K2-Instruct", **_KIMI_K2),
    Family("moonshotai-Kimi-K2", **_KIMI_K2),
    Family("Kimi-K2-Thinking", **_KIMI_K2),
    Family(
        "Kimi-K3",
        thought="{}<|close|>think<|sep|>",
        no_thought="<|close|>think<|sep|>",
        answer="<|open|>response<|sep|>{}<|close|>response<|sep|><|close|>message<|sep|>",
        call='<|open|>call tool="{name}" index="{index}"<|sep|>{arguments}<|close|>call<|sep|>',
        argument='<|open|>argument key="{key}" type="x"<|sep|>{value}<|close|>argument<|sep|>',
        around_calls="<|open|>response<|sep|><|close|>response<|sep|><|open|>tools<|sep|>{}"
        "<|close|>tools<|sep|><|close|>message<|sep|>",
        markers=("<|", "response<"),
    ),
    Family(
        "deepseek-ai-DeepSeek-V3.1",
        thought="{}</think>",
        no_thought="</think>",
        call="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
        around_calls="<｜tool▁calls▁begin｜>{}<｜tool▁calls▁end｜>",
        markers=("<｜", "think>"),
    ),
    Family(
        "llama-cpp-deepseek-r1",
        thought="{}\n</think>\n\n",
        no_thought="\n</think>\n\n",
        call="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```"
        "<｜tool▁call▁end｜>",
        between_calls="\n",
        around_calls="<｜tool▁calls▁begin｜>{}<｜tool▁calls▁end｜>",
        markers=("<｜", "think>", "```json"),
    ),
    Family(
        "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
        thought="{}\n</think>\n\n",
        no_thought="\n</think>\n\n",
        markers=("<｜", "think>"),
    ),
    Family(
        "openai-gpt-oss-120b",
        thought="<|channel|>analysis<|message|>{}<|end|><|start|>assistant",
        answer="<|channel|>final<|message|>{}",
        call="<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}",
        parallel=False,
        markers=("<|", "functions.", "commentary", "analysis"),
    ),
    Family(
        "Qwen3-Coder",
        call="<tool_call>\n<function={name}>\n{arguments}</function>\n</tool_call>",
        argument="<parameter={key}>\n{value}\n</parameter>\n",
        between_calls="\n",
        markers=("<tool_call", "<function", "<parameter"),
    ),
    Family(
        "Qwen-Qwen3-0.6B",
        thought="<think>\n{}\n</think>\n\n",
        call='<tool_call>\n{"name": "{name}", "arguments": {arguments}}\n</tool_call>',
        between_calls="\n",
        markers=("<tool_call", "think>", '"arguments"'),
    ),
    Family(
        "GLM-4.6",
        thought="\n<think>{}</think>\n",
        no_thought="\n<think></think>\n",
        call="<tool_call>{name}\n{arguments}</tool_call>",
        argument="<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n",
        between_calls="\n",
        markers=("<tool_call", "think>", "arg_key"),
    ),
    Family(
        "MiniMax-M2",
        thought="{}\n</think>\n\n",
        no_thought="\n</think>\n\n",
        call='<invoke name="{name}">\n{arguments}</invoke>\n',
        argument='<parameter name="{key}">{value}</parameter>\n',
        around_calls="<minimax:tool_call>\n{}</minimax:tool_call>",
        parallel=False,  # llama.cpp reads one call a time of this family
        markers=("<minimax", "<invoke", "think>"),
    ),
    Family("meta-llama-Llama-3.1-8B-Instruct", **_LLAMA_3),
    Family("meta-llama-Llama-3.2-3B-Instruct", **_LLAMA_3),
    Family("meta-llama-Llama-3.3-70B-Instruct", **_LLAMA_3),
    Family(
        "mistralai-Mistral-Nemo-Instruct-2407",
        call='{"name": "{name}", "arguments": {arguments}, "id": "12345678{index}"}',
        around_calls="[TOOL_CALLS][{}]",
        between_calls=", ",
        markers=("[TOOL", '"arguments"'),
    ),
    Family(
        "Mistral-Small-3.2-24B-Instruct-2506",
        call="[TOOL_CALLS]{name}[CALL_ID]00000000{index}[ARGS]{arguments}",
        markers=("[TOOL", "[CALL", "[ARGS"),
    ),
    Family(
        "mistralai-Ministral-3-14B-Reasoning-2512",
        thought="[THINK]{}[/THINK]",
        call="[TOOL_CALLS]{name}[ARGS]{arguments}",
        markers=("[TOOL", "THINK]", "[ARGS"),
    ),
    Family(
        "google-gemma-4-31B-it",
        thought="<|channel>thought\n{}<channel|>",
        call="<|tool_call>call:{name}{{arguments}}<tool_call|>",
        argument="{key}:{value}",
        between_arguments=",",
        string='<|"|>{}<|"|>',
        markers=("<|", "channel|", "call:"),
    ),
)
