"""A corpus with questions and the sentences that answer them, made by rules from a seed.

    corpus = make_corpus()          # texts and questions, in memory
    write_corpus(corpus, folder)    # the same as PDF, DOCX, XLSX and Markdown files

Invoices, minutes, contracts, specifications, price tables and a manual of 300 pages, in English
and Russian. Questions use other words than the sentences where they can.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docx
import openpyxl

from doubles.document_files import make_pdf, put


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ADJECTIVES = _words(
    "upper lower front rear main spare inner outer left right primary secondary hydraulic"
    " electric pneumatic cooling heating folding sliding rotary"
)
NOUNS = _words(
    "pump valve gearbox conveyor blower compressor turbine filter actuator winch crane mixer"
    " boiler generator spindle"
)
GREASES = _words("lithium calcium silicone graphite copper molybdenum")
PEOPLE = _words("Ann Bo Carla Dmitri Elena Farid Greta Hugo Irina Jonas Klara Leo")
RU_PEOPLE = _words("Анна Борис Вера Григорий Дарья Егор Зоя Иван Кира Лев Мария Нина")
TOWNS = _words("Tartu Bergen Porto Lyon Gdansk Turku Ghent Brno Graz Cork")
RU_TOWNS = _words("Казань Омск Пермь Тверь Самара Уфа Рязань Томск Псков Тула")
GOODS = _words("hinge bracket washer gasket bearing pulley lantern ladder funnel hammer")
RU_GOODS = _words("петля кронштейн шайба прокладка подшипник шкив фонарь лестница воронка молоток")
FILLER = (
    "Check the surroundings for loose parts and keep bystanders away from the work area.",
    "Only trained staff may carry out the steps in this part of the manual.",
    "Record the date and the name of the person in charge in the log book.",
    "Wear gloves and safety glasses; hot surfaces stay hot for a long time.",
    "If a step does not lead to the expected result, stop and call the service line.",
    "Dispose of used material according to the rules of the place of use.",
)
RU_FILLER = (
    "Стороны руководствуются действующим законодательством и деловой практикой.",
    "Изменения действительны только в письменной форме за подписью обеих сторон.",
    "Все приложения являются неотъемлемой частью настоящего документа.",
    "Споры решаются путём переговоров, а при недостижении согласия в суде.",
)


@dataclass(frozen=True)
class Question:
    """A question and the words that must be in a passage that answers it."""

    text: str
    support: str
    file: str
    language: str


@dataclass
class Corpus:
    """Pages of lines by file name (the first line of a page is its heading), and the questions."""

    files: dict[str, list[list[str]]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)


def make_corpus(seed: int = 7) -> Corpus:
    """Return the corpus of a seed."""
    rng = random.Random(seed)
    corpus = Corpus()
    for number in range(40):
        _invoice(corpus, rng, number, russian=number % 2 == 1)
        _contract(corpus, rng, number, russian=number % 2 == 1)
        _minutes(corpus, rng, number, russian=number % 2 == 1)
    for number in range(12):
        _specification(corpus, rng, number)
        _prices(corpus, rng, number, russian=number % 2 == 1)
    _manual(corpus, rng)
    return corpus


def _ask(corpus: Corpus, file: str, text: str, support: str, language: str = "en") -> None:
    corpus.questions.append(Question(text, support, file, language))


def _invoice(corpus: Corpus, rng: random.Random, number: int, *, russian: bool) -> None:
    code = f"{rng.randint(1000, 9999)}-{number:02}"
    total = f"{rng.randint(100, 9999)}.{rng.randint(10, 99)}"
    day, town = rng.randint(1, 28), rng.choice(RU_TOWNS if russian else TOWNS)
    file = f"invoice-{number:02}.pdf"
    if russian:
        due = f"Счёт {code} подлежит оплате до {day} апреля 2026 года."
        amount = f"Итоговая сумма по документу {code} составляет {total} рублей."
        page = [f"Счёт {code}", f"Покупатель: фирма из города {town}.", due, amount]
        _ask(corpus, file, f"До какого числа надо оплатить счёт {code}?", due, "ru")
        _ask(corpus, file, f"Сколько всего рублей по счёту {code}?", amount, "ru")
    else:
        due = f"Payment of invoice {code} is due on {day} April 2026."
        amount = f"The total of document {code} amounts to {total} euros."
        page = [f"Invoice {code}", f"Customer: a firm in {town}.", due, amount]
        _ask(corpus, file, f"By when must bill {code} be paid?", due)
        _ask(corpus, file, f"How much money is owed for {code}?", amount)
    corpus.files[file] = [page]


def _contract(corpus: Corpus, rng: random.Random, number: int, *, russian: bool) -> None:
    file = f"contract-{number:02}.pdf"
    days, town = 30 + number * 2, (RU_TOWNS if russian else TOWNS)[number // 4 % 10]
    what = (RU_GOODS if russian else GOODS)[number % 10]
    code = f"K{number:03}"
    if russian:
        notice = f"Договор {code} может быть расторгнут с уведомлением за {days} дней."
        fine = f"За просрочку по договору {code} взимается пеня {number + 1} рублей в день."
        _ask(corpus, file, f"За сколько дней предупреждают о расторжении {code}?", notice, "ru")
        _ask(corpus, file, f"Какая пеня при просрочке по {code}?", fine, "ru")
        head, about = f"Договор {code}", f"Предмет: {what}, поставка в город {town}."
    else:
        notice = f"Contract {code} may be ended by either side with a notice of {days} days."
        fine = f"Late delivery under {code} is charged at {number + 1} euros for each day."
        _ask(corpus, file, f"How long beforehand does one have to cancel {code}?", notice)
        _ask(corpus, file, f"What penalty applies for being late under {code}?", fine)
        head, about = f"Contract {code}", f"Subject: {what}s, delivered to {town}."
    filler = list(RU_FILLER if russian else FILLER)
    rng.shuffle(filler)
    corpus.files[file] = [[head, about, *filler[:3], notice, *filler[:2]], [code, fine, *filler]]


def _minutes(corpus: Corpus, rng: random.Random, number: int, *, russian: bool) -> None:
    file = f"minutes-{number:02}.docx"
    town = (RU_TOWNS if russian else TOWNS)[number // 2 % 10]
    who = (RU_PEOPLE if russian else PEOPLE)[number // 2 % 12]
    good = (RU_GOODS if russian else GOODS)[number // 4 % 10]
    if russian:
        task = f"Поручено: {who} готовит смету склада №{number} в городе {town}."
        vote = f"За закупку ({good}) для склада №{number} голосовали {number + 3} участников."
        _ask(corpus, file, f"Кому поручена смета склада №{number}?", task, "ru")
        _ask(
            corpus,
            file,
            f"Сколько голосов за закупку для склада №{number}?",
            vote,
            "ru",
        )
        head, filler = f"Протокол собрания склада №{number}", RU_FILLER
    else:
        task = f"{who} will prepare the budget of warehouse {number} in {town}."
        vote = f"{number + 3} members voted to buy {good}s for warehouse {number}."
        _ask(corpus, file, f"Who is in charge of warehouse {number}'s budget?", task)
        _ask(corpus, file, f"How many people were for the purchase for warehouse {number}?", vote)
        head, filler = f"Minutes of the meeting on warehouse {number}", FILLER
    corpus.files[file] = [[head, filler[0], task, filler[1], vote, filler[2]]]


def _specification(corpus: Corpus, rng: random.Random, number: int) -> None:
    file = f"spec-{number:02}.md"
    device = f"{ADJECTIVES[number]} {NOUNS[(number * 7) % 15]} model S{number}"
    weight = f"The {device} weighs {rng.randint(10, 900)} kilograms without oil."
    noise = f"At full load the {device} reaches a sound level of {rng.randint(50, 99)} decibels."
    corpus.files[file] = [[f"Specification of the {device}", weight, FILLER[1], noise]]
    _ask(corpus, file, f"How heavy is the {device}?", weight)
    _ask(corpus, file, f"How loud does the {device} get?", noise)


def _prices(corpus: Corpus, rng: random.Random, number: int, *, russian: bool) -> None:
    file = f"prices-{number:02}.xlsx"
    goods = RU_GOODS if russian else GOODS
    head = "Артикул | Товар | Цена" if russian else "Article | Item | Price"
    rows = [
        f"A{number:02}{place} | {good} | {rng.randint(1, 99)}.{rng.randint(10, 99)}"
        for place, good in enumerate(goods)
    ]
    corpus.files[file] = [[head, *rows]]
    row = rng.choice(rows)
    article, good, _ = row.split(" | ")
    text = f"Цена товара {article} ({good})?" if russian else f"What does {article} ({good}) cost?"
    _ask(corpus, file, text, row, "ru" if russian else "en")


def _manual(corpus: Corpus, rng: random.Random) -> None:
    """Add the manual: a page a device, each with the same kinds of facts."""
    file = "manual.pdf"
    devices = [f"{adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    pages = []
    for place, device in enumerate(devices):
        hours, grease = rng.randint(2, 90) * 10, rng.choice(GREASES)
        heat, bolts = rng.randint(40, 140), rng.randint(3, 24)
        lubricate = f"The {device} is lubricated with {grease} paste every {hours} operating hours."
        limit = f"Shut the {device} down at once when its housing exceeds {heat} degrees."
        mount = f"Fasten the {device} with {bolts} bolts, crosswise, in two passes."
        filler = rng.sample(FILLER, 5)
        pages.append(
            [
                *(f"{place + 1}. The {device}", filler[0], filler[1], lubricate, filler[2]),
                *(filler[3], limit, filler[4], mount),
                *rng.sample(FILLER, 4),
            ]
        )
        if place % 4 == 0:
            _ask(corpus, file, f"How often does the {device} need grease?", lubricate)
        elif place % 4 == 1:
            _ask(corpus, file, f"At which temperature must the {device} be stopped?", limit)
    corpus.files[file] = pages


def write_corpus(corpus: Corpus, folder: Path) -> Iterator[Path]:
    """Write every file in the format its name says, yielding its path."""
    for name, pages in corpus.files.items():
        ending = name.rpartition(".")[2]
        if ending == "pdf":
            data = make_pdf(pages)
        elif ending == "docx":
            data = _docx(pages)
        elif ending == "xlsx":
            data = _xlsx(pages)
        else:
            data = as_markdown(pages).encode()
        yield put(folder, name, data)


def as_markdown(pages: list[list[str]]) -> str:
    """Return pages as one Markdown text."""
    return "\n\n".join(f"# {head}\n\n" + "\n\n".join(lines) for head, *lines in pages) + "\n"


def _docx(pages: list[list[str]]) -> bytes:
    document = docx.Document()
    for head, *lines in pages:
        document.add_heading(head, 1)
        for line in lines:
            document.add_paragraph(line)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _xlsx(pages: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    for lines in pages:
        for line in lines:
            book.active.append(line.split(" | "))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a file damaged in one of the ways disks, mails and attackers do it."""
    kind = rng.randrange(6)
    changed = bytearray(data)
    if kind == 0:
        return bytes(changed[: rng.randrange(len(changed))])
    if kind == 1:
        for _ in range(rng.randint(1, 40)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif kind == 2:
        at = rng.randrange(len(changed))
        changed[at : at + rng.randrange(1, 4000)] = b""
    elif kind == 3:
        at, size = rng.randrange(len(changed)), rng.randrange(1, 4000)
        changed[at : at + size] = rng.randbytes(size)
    elif kind == 4:
        at = rng.randrange(len(changed))
        changed[at:at] = changed[: rng.randrange(1, 4000)]
    else:
        at = rng.randrange(len(changed))
        changed[at : at + rng.randrange(1, 4000)] = b"\0" * rng.randrange(1, 4000)
    return bytes(changed)
