"""What generated documents are about: fields of papers, columns of tables, sentences of prose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from starter_model import invented as make


@dataclass(frozen=True, slots=True)
class Field:
    """How a field's value is made, and questions for it besides the general ones."""

    value: Callable[[Random], str]
    questions: tuple[str, ...] = ()


GENERIC_QUESTIONS: Final = (
    "what is the {name}?",
    "what is the {name}?",
    "which {name} is given?",
    "{name}?",
    "tell me the {name}.",
    "what {name} does the document give?",
    "please find the {name}.",
    "I need the {name}.",
)

FIELDS: Final[dict[str, dict[str, Field]]] = {
    "invoice": {
        "invoice number": Field(make.code, ("What number does the invoice have?",)),
        "invoice date": Field(make.date, ("When was the invoice written?",)),
        "due date": Field(make.date, ("When is the payment due?", "When must it be paid?")),
        "customer": Field(make.company, ("Who is the invoice for?", "Who is billed?")),
        "supplier": Field(make.company, ("Who sent the invoice?",)),
        "total": Field(make.money, ("How much has to be paid?", "What is the sum?")),
        "tax rate": Field(make.percent, ("How high is the tax?",)),
        "delivery address": Field(make.address, ("Where are the goods delivered?",)),
        "order number": Field(make.code),
        "contact": Field(make.person, ("Who can be asked about the invoice?",)),
        "discount": Field(make.percent, ("How large is the discount?",)),
        "shipping cost": Field(make.money, ("What does shipping cost?",)),
        "payment term": Field(make.duration, ("How long may payment take?",)),
    },
    "contract": {
        "tenant": Field(make.person, ("Who rents?",)),
        "landlord": Field(make.company, ("Who lets the rooms?",)),
        "start date": Field(make.date, ("When does the contract begin?",)),
        "end date": Field(make.date, ("When does the contract end?",)),
        "monthly rent": Field(make.money, ("How much is the rent?",)),
        "deposit": Field(make.money, ("How large is the deposit?",)),
        "notice period": Field(make.duration, ("How long is the notice?",)),
        "place of jurisdiction": Field(make.town, ("Which town's courts decide?",)),
        "penalty": Field(make.money, ("What must be paid for a breach?",)),
        "contract number": Field(make.code),
        "interest rate": Field(make.percent, ("How high is the interest?",)),
        "witness": Field(make.person, ("Who witnessed it?",)),
    },
    "minutes": {
        "chair": Field(make.person, ("Who led the meeting?",)),
        "secretary": Field(make.person, ("Who took the minutes?",)),
        "meeting date": Field(make.date, ("When was the meeting?",)),
        "place": Field(make.room, ("Where was the meeting?",)),
        "start time": Field(make.clock, ("When did the meeting begin?",)),
        "end time": Field(make.clock, ("When was the meeting over?",)),
        "next meeting": Field(make.date, ("When do they meet again?",)),
        "approved budget": Field(make.money, ("How much money was approved?",)),
        "number of guests": Field(make.count, ("How many guests came?",)),
        "absent": Field(make.person, ("Who was not there?",)),
        "project": Field(make.word, ("Which project was it about?",)),
    },
    "specification": {
        "model": Field(make.code, ("Which model is it?",)),
        "maker": Field(make.company, ("Who makes it?",)),
        "weight": Field(make.measure, ("How heavy is it?", "What does it weigh?")),
        "height": Field(make.measure, ("How high is it?",)),
        "width": Field(make.measure, ("How wide is it?",)),
        "power": Field(make.measure, ("How much power does it draw?",)),
        "voltage": Field(make.measure),
        "colour": Field(make.colour, ("What colour is it?",)),
        "warranty": Field(make.duration, ("How long is the warranty?",)),
        "price": Field(make.money, ("How much is it?", "What does it cost?")),
        "serial number": Field(make.code),
        "capacity": Field(make.measure, ("How much does it hold?",)),
        "efficiency": Field(make.percent, ("How efficient is it?",)),
    },
    "record": {
        "name": Field(make.person, ("Who is it?", "What is the person called?")),
        "date of birth": Field(make.date, ("When was the person born?",)),
        "employer": Field(make.company, ("Where does the person work?",)),
        "town": Field(make.town, ("Where does the person live?",)),
        "phone": Field(make.phone, ("Which number can be called?",)),
        "mail": Field(make.mail, ("What is the mail address?",)),
        "salary": Field(make.money, ("How much does the person earn?",)),
        "member number": Field(make.code),
        "manager": Field(make.person, ("Who leads the person?",)),
        "office": Field(make.room, ("Where is the office?",)),
        "holiday": Field(make.duration, ("How long is the holiday?",)),
    },
    "journey": {
        "departure": Field(make.clock, ("When does it leave?",)),
        "arrival": Field(make.clock, ("When does it arrive?",)),
        "from": Field(make.town, ("Where does it start?",)),
        "to": Field(make.town, ("Where does it go?",)),
        "ticket": Field(make.code, ("What is the ticket's number?",)),
        "fare": Field(make.money, ("What does the ticket cost?",)),
        "day": Field(make.date, ("On which day is the journey?",)),
        "passenger": Field(make.person, ("Who travels?",)),
        "seat": Field(make.code, ("Which seat is it?",)),
        "platform": Field(make.count, ("From which platform?",)),
    },
}

TITLES: Final = {
    "invoice": ("INVOICE", "Invoice", "# Invoice", "Bill"),
    "contract": ("CONTRACT", "Rental contract", "# Contract", "Agreement"),
    "minutes": ("MINUTES", "Minutes of the meeting", "# Minutes"),
    "specification": ("Data sheet", "SPECIFICATION", "# Technical data"),
    "record": ("Personal record", "RECORD", "# Person"),
    "journey": ("Booking", "TICKET", "# Journey"),
}

ATTRIBUTES: Final[dict[str, Callable[[Random], str]]] = {
    "price": make.money,
    "weight": make.measure,
    "date": make.date,
    "number": make.code,
    "town": make.town,
    "phone": make.phone,
    "room": make.room,
    "colour": make.colour,
    "stock": make.count,
    "share": make.percent,
    "term": make.duration,
    "manager": make.person,
    "start": make.clock,
    "salary": make.money,
    "length": make.measure,
    "supplier": make.company,
}

ROW_KINDS: Final[dict[str, tuple[Callable[[Random], str], tuple[str, ...]]]] = {
    "name": (make.person, ("phone", "room", "town", "salary", "start", "manager", "share")),
    "company": (make.company, ("town", "share", "number", "manager", "term", "phone")),
    "town": (make.town, ("date", "stock", "share", "manager", "length")),
    "article": (make.code, ("price", "weight", "colour", "stock", "supplier", "length")),
    "project": (make.word, ("manager", "date", "price", "term", "share", "number")),
    "item": (
        lambda random: random.choice(make.ITEMS),
        ("price", "stock", "weight", "colour", "supplier"),
    ),
}

TASKS: Final = (
    "repair the roof", "order the paper", "call the bank", "write the report", "test the pump",
    "clean the hall", "paint the door", "check the wiring", "move the archive", "book the flights",
    "count the stock", "train the staff", "renew the licence", "print the badges",
    "plan the budget",
    "translate the manual", "pack the samples", "inspect the bridge", "update the website",
    "measure the noise", "replace the filters", "hire a driver", "sign the lease", "sort the mail",
)  # fmt: skip

Asks = tuple[tuple[str, str], ...]
SENTENCES: Final[tuple[tuple[str, Asks], ...]] = (
    ("{person} will {task} by {date}.",
     (("Who will {task}?", "person"), ("By when will {person} {task}?", "date"),
      ("When will {person} {task}?", "date"))),
    ("{person} from {company} bought {count} {item} for {money}.",
     (("How many {item} did {person} buy?", "count"), ("How much did {person} pay?", "money"),
      ("Which company is {person} from?", "company"), ("Who bought the {item}?", "person"))),
    ("{company} has its main office in {town}.",
     (("Where is the main office of {company}?", "town"), ("In which town is {company}?", "town"),
      ("Which company has its main office in {town}?", "company"))),
    ("{person} leads the {project} project since {date}.",
     (("Who leads the {project} project?", "person"),
      ("Since when does {person} lead the {project} project?", "date"),
      ("Which project does {person} lead?", "project"))),
    ("The train to {town} leaves at {time}.",
     (("When does the train to {town} leave?", "time"),
      ("Where does the {time} train go?", "town"))),
    ("The key of {room} is with {person}.",
     (("Who has the key of {room}?", "person"), ("Which room's key does {person} have?", "room"))),
    ("{company} delivered {count} {item} on {date}.",
     (("How many {item} did {company} deliver?", "count"),
      ("When did {company} deliver the {item}?", "date"),
      ("Who delivered the {item}?", "company"))),
    ("Order {code} was sent to {town} and cost {money}.",
     (("Where was order {code} sent?", "town"), ("How much was order {code}?", "money"),
      ("Which order was sent to {town}?", "code"))),
    ("{person} was born in {town} on {date}.",
     (("Where was {person} born?", "town"), ("When was {person} born?", "date"))),
    ("The lease of {company} runs for {duration} and costs {money} a month.",
     (("How long does the lease of {company} run?", "duration"),
      ("How much is the lease of {company} a month?", "money"))),
    ("{person} meets {friend} in {room} at {time}.",
     (("Who does {person} meet?", "friend"), ("Where does {person} meet {friend}?", "room"),
      ("When does {person} meet {friend}?", "time"))),
    ("Sales in {town} rose by {percent} to {money}.",
     (("By how much did sales in {town} rise?", "percent"),
      ("How high are sales in {town}?", "money"))),
    ("The {item} weigh {measure} and are kept in {room}.",
     (("How much do the {item} weigh?", "measure"), ("Where are the {item} kept?", "room"))),
    ("The password of {project} is {code}.",
     (("What is the password of {project}?", "code"),)),
    ("{person} works for {company} as of {date}.",
     (("Who does {person} work for?", "company"), ("Who works for {company}?", "person"))),
    ("{company} must give notice of {duration} to {person}.",
     (("How long is the notice of {company}?", "duration"),)),
    ("The budget of {project} is {money}, and {person} may spend it.",
     (("How large is the budget of {project}?", "money"),
      ("Who may spend the budget of {project}?", "person"))),
    ("{friend} asked {person} to {task}.",
     (("Who asked {person} to {task}?", "friend"), ("What should {person} do?", "task"))),
)  # fmt: skip

FILLERS: Final = (
    "Thank you for your order.",
    "Please keep this page for your records.",
    "This paper was made by a machine and is valid without a signature.",
    "All sums are final. Questions are answered on working days.",
    "The next page holds the general terms.",
    "There were no further remarks.",
    "Both sides have read the text and agree with it.",
    "Notes: none.",
    "The old version of this page is no longer valid.",
)

SYSTEM_PROMPTS: Final = (
    "You are a helpful assistant.",
    "Answer briefly.",
    "Be short and clear.",
    "You answer questions about documents.",
    "You help with the work of an office.",
    "Answer from the text only.",
)
