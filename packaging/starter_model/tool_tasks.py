"""Tasks for tools: a list of tools, a wish, the right call, and the answer from its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from starter_model import invented
from starter_model.conversation import Conversation, Message, ToolCall

NO_TOOL: Final = "None of the tools can do that."


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its JSON type, how its value is made, and how a wish words it."""

    name: str
    kind: str
    value: Callable[[Random], Any]
    wording: str


PARAMETERS: Final = {
    one.name: one
    for one in (
        Parameter("city", "string", invented.town, "in {v}"),
        Parameter("date", "string", invented.date, "on {v}"),
        Parameter("name", "string", invented.person, "for {v}"),
        Parameter("company", "string", invented.company, "at {v}"),
        Parameter("id", "string", invented.code, "with the id {v}"),
        Parameter("minutes", "integer", lambda r: r.randint(1, 240), "for {v} minutes"),
        Parameter("amount", "integer", lambda r: int(10 ** r.uniform(0.5, 4)), "of {v}"),
        Parameter("count", "integer", lambda r: r.randint(2, 99), "{v} times"),
        Parameter("time", "string", invented.clock, "at {v}"),
        Parameter("room", "string", invented.room, "in {v}"),
        Parameter("colour", "string", invented.colour, "in {v}"),
        Parameter("days", "integer", lambda r: r.randint(2, 30), "for {v} days"),
        Parameter("address", "string", invented.address, "to {v}"),
        Parameter("email", "string", invented.mail, "to {v}"),
        Parameter("level", "integer", lambda r: r.randint(1, 100), "to level {v}"),
    )
}

# Verb as it stands in a tool's name, and as people say it.
VERBS: Final = {
    "get": ("Get", "Show me", "Tell me", "What is", "I want to know"),
    "find": ("Find", "Look for", "Where is", "Search for"),
    "set": ("Set", "Change", "Please set", "Put"),
    "start": ("Start", "Begin", "Turn on", "Please start"),
    "stop": ("Stop", "End", "Turn off", "Please stop"),
    "book": ("Book", "Reserve", "Please book", "I need"),
    "send": ("Send", "Please send", "Mail"),
    "create": ("Create", "Make", "Add", "Please create"),
    "delete": ("Delete", "Remove", "Please delete"),
    "check": ("Check", "Please check", "Look at"),
    "order": ("Order", "Buy", "Please order"),
    "cancel": ("Cancel", "Call off", "Please cancel"),
}

NOUNS: Final = (
    "weather", "invoice", "timer", "lamp", "train", "note", "report", "parcel", "meeting", "alarm",
    "ticket", "taxi", "table", "flight", "price", "stock", "heater", "music", "camera", "printer",
    "backup", "password", "calendar", "reminder", "payment", "contract", "customer", "driver",
    "garage", "garden", "holiday", "hotel", "lunch", "mailbox", "medicine", "museum", "newspaper",
    "oven", "parking", "photo", "playlist", "pump", "recipe", "refund", "robot", "route", "salary",
    "schedule", "sensor", "server", "shift", "signal", "speaker", "survey", "tax", "temperature",
    "translation", "tyre", "vacuum", "visa", "voucher", "window", "workshop", "wallet",
)  # fmt: skip
# Tools named after these are never trained on: they measure names the model has not seen.
UNSEEN_NOUNS: Final = (
    "blinds", "boiler", "bridge", "catalogue", "clinic", "concert", "elevator", "fountain",
    "freezer", "greenhouse", "insurance", "kettle", "lecture", "locker", "moped", "noise",
    "orchard", "passport", "quota", "radio", "sauna", "tractor", "umbrella", "warehouse",
)  # fmt: skip

PARAMETER_SETS: Final = (
    ("city",), ("date",), ("name",), ("id",), ("minutes",), ("time",), ("room",), ("company",),
    ("amount",), ("level",), ("city", "date"), ("name", "date"), ("name", "time"), ("room", "time"),
    ("amount", "name"), ("id", "email"), ("city", "days"), ("room", "level"), ("colour", "room"),
    ("id", "address"), ("name", "minutes"), ("date", "time"), ("count", "time"),
    ("company", "date"),
    ("amount", "city"), ("name", "email"), (),
)  # fmt: skip

RESULTS: Final[dict[str, Callable[[Random], Any]]] = {
    "status": lambda r: r.choice(("done", "open", "late", "ready", "closed", "sent", "on", "off")),
    "price": invented.money,
    "date": invented.date,
    "time": invented.clock,
    "code": invented.code,
    "place": invented.town,
    "person": invented.person,
    "count": lambda r: r.randint(0, 400),
    "value": lambda r: round(r.uniform(0, 99), 1),
    "room": invented.room,
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the generator knows it."""

    verb: str
    noun: str
    name: str
    parameters: tuple[Parameter, ...]

    def declaration(self) -> dict[str, Any]:
        """Return the tool as a request declares it; short, since the model reads all of it."""
        properties = {one.name: {"type": one.kind} for one in self.parameters}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": f"{VERBS[self.verb][0]} the {self.noun}",
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                },
            },
        }


def tool_task(
    random: Random, *, tools: int, turns: int, nouns: tuple[str, ...] = NOUNS, misses: float = 0.08
) -> Conversation:
    """Return a conversation in which some of the tools are called.

    misses: the share of wishes that none of the tools can fulfil.
    """
    declared = _tools(random, tools, nouns)
    messages: list[Message] = []
    for _ in range(turns):
        if random.random() < misses:
            other = _tools(
                random, 1, tuple(n for n in nouns if n not in {t.noun for t in declared})
            )
            messages += [Message("user", _wish(random, other[0])[0]), Message("assistant", NO_TOOL)]
            continue
        tool = random.choice(declared)
        text, arguments = _wish(random, tool)
        result = _result(random)
        messages += [
            Message("user", text),
            Message("assistant", calls=(ToolCall(tool.name, arguments),)),
            Message("tool", json.dumps(result, ensure_ascii=False)),
            Message("assistant", _told(result)),
        ]
    return Conversation(tuple(messages), tuple(tool.declaration() for tool in declared))


def _tools(random: Random, count: int, nouns: tuple[str, ...]) -> list[Tool]:
    """Return tools of different names; some share a noun, so that the verb decides."""
    tools: dict[str, Tool] = {}
    while len(tools) < count:
        if tools and random.random() < 0.25:
            noun = random.choice(list(tools.values())).noun
        else:
            noun = random.choice(nouns)
        verb = random.choice(tuple(VERBS))
        name = f"{verb}_{noun}" if random.random() < 0.8 else f"{verb}{noun.capitalize()}"
        if any(tool.verb == verb and tool.noun == noun for tool in tools.values()):
            continue
        chosen = random.choice(PARAMETER_SETS)
        tools[name] = Tool(verb, noun, name, tuple(PARAMETERS[one] for one in chosen))
    return list(tools.values())


def _wish(random: Random, tool: Tool) -> tuple[str, dict[str, Any]]:
    """Return what a person says to have the tool called, and the arguments meant."""
    values = {one.name: one.value(random) for one in tool.parameters}
    words = [one.wording.format(v=values[one.name]) for one in tool.parameters]
    verb = random.choice(VERBS[tool.verb])
    article = random.choice(("the", "the", "a")) if verb not in ("What is", "Where is") else "the"
    text = " ".join([f"{verb} {article} {tool.noun}", *words])
    end = "?" if verb in ("What is", "Where is") else random.choice((".", ".", ""))
    if random.random() < 0.15:
        text = text[0].lower() + text[1:]
    return text + end, values


def _result(random: Random) -> dict[str, Any]:
    names = random.sample(tuple(RESULTS), k=random.randint(1, 2))
    return {name: RESULTS[name](random) for name in names}


def _told(result: dict[str, Any]) -> str:
    """Return a tool's result as a sentence."""
    parts = [f"the {name} is {value}" for name, value in result.items()]
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
