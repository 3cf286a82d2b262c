"""Invented names, numbers and dates: so many that copying them is the only way to know them."""

from __future__ import annotations

from random import Random
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STARTS: Final = _words(
    "Al Ar Bel Ber Bor Bra Cal Car Cor Dal Dar Del Dor El Er Fal Fen Fer Gal Gar Gor Hal Har Hel"
    " Il Is Jan Jor Kal Kar Kel Kor Lan Lar Len Lor Mal Mar Mel Mor Nal Nar Nel Nor Ol Or Pal Par"
    " Per Pol Quin Ral Ren Ros Sal San Ser Sol Tal Tar Tel Tor Ul Val Var Vel Vor Wal Wen Yar Zan"
)
MIDDLES: Final = _words("a e i o u an en in on ad ed id ar er ir ov ev am em im ast est ist ul al")
ENDS: Final = _words(
    "ba bek berg by da dan den do dor fa fel gan gen go ka ken kin ko la lan len lin lo ma man min"
    " mo na nen nik no ra rak ren rik ro sa sen sha sik son sov sta ta tan ten tin to va vik von za"
)
COMPANY_KINDS: Final = (
    "Ltd", "GmbH", "Inc", "LLC", "AG", "Group", "Partners", "Works", "Systems", "Logistics",
    "Foods", "Energy", "Studio", "Bank", "Press", "Optics", "Marine", "Textiles",
)  # fmt: skip
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
COLOURS: Final = (
    "red",
    "blue",
    "green",
    "black",
    "white",
    "grey",
    "yellow",
    "orange",
    "silver",
    "brown",
)
CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF", "SEK", "RUB")
STREETS: Final = ("Street", "Road", "Lane", "Avenue", "Square", "Quay", "Hill")
UNITS: Final = ("kg", "mm", "cm", "m", "W", "kW", "V", "A", "GB", "MHz", "litres", "hours", "°C")
ITEMS: Final = (
    "bolts", "cables", "chairs", "desks", "filters", "fans", "gloves", "hinges", "keyboards",
    "lamps", "lenses", "monitors", "motors", "nails", "panels", "pipes", "pumps", "racks",
    "screws", "sensors", "shelves", "switches", "tiles", "tubes", "valves", "wheels", "wires",
    "batteries", "brackets", "drills",
)  # fmt: skip


def word(random: Random) -> str:
    """Return a capitalised word that means nothing."""
    middle = random.choice(MIDDLES) if random.random() < 0.4 else ""
    return random.choice(STARTS) + middle + random.choice(ENDS)


def person(random: Random) -> str:
    return f"{word(random)} {word(random)}"


def company(random: Random) -> str:
    return f"{word(random)} {random.choice(COMPANY_KINDS)}"


def town(random: Random) -> str:
    return word(random)


def address(random: Random) -> str:
    return f"{random.randint(1, 220)} {word(random)} {random.choice(STREETS)}"


def date(random: Random) -> str:
    """Return a date in one of three notations."""
    day, month, year = random.randint(1, 28), random.randint(1, 12), random.randint(2015, 2031)
    kind = random.random()
    if kind < 0.5:
        return f"{day} {MONTHS[month - 1]} {year}"
    if kind < 0.8:
        return f"{year}-{month:02}-{day:02}"
    return f"{MONTHS[month - 1]} {day}, {year}"


def clock(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02}"


def amount(random: Random) -> str:
    """Return a number as money is written."""
    whole = int(10 ** random.uniform(1, 5))
    cents = f".{random.randint(0, 99):02}" if random.random() < 0.5 else ""
    return f"{whole:,}{cents}"


def money(random: Random) -> str:
    return f"{amount(random)} {random.choice(CURRENCIES)}"


def code(random: Random) -> str:
    """Return an identifier such as AB-4821."""
    letters = "".join(random.choices("ABCDEFGHKLMNPRSTUVWXYZ", k=random.randint(1, 3)))
    number = random.randint(10, 99999)
    return random.choice(
        (f"{letters}-{number}", f"{letters}{number}", f"{number}", f"{letters}/{number}")
    )


def percent(random: Random) -> str:
    value = random.randint(1, 99)
    return random.choice((f"{value}%", f"{value}.{random.randint(1, 9)}%", f"{value} percent"))


def duration(random: Random) -> str:
    return f"{random.randint(2, 60)} {random.choice(('days', 'weeks', 'months', 'years', 'hours'))}"


def count(random: Random) -> str:
    return str(int(10 ** random.uniform(0.4, 4)))


def measure(random: Random) -> str:
    whole = int(10 ** random.uniform(0.3, 3.3))
    part = f".{random.randint(1, 9)}" if random.random() < 0.4 else ""
    return f"{whole}{part} {random.choice(UNITS)}"


def mail(random: Random) -> str:
    user, host = word(random).lower(), word(random).lower()
    return f"{user}@{host}.{random.choice(('com', 'org', 'net', 'eu'))}"


def phone(random: Random) -> str:
    parts = random.randint(1, 99), random.randint(100, 999), random.randint(100, 999)
    return f"+{parts[0]} {parts[1]} {parts[2]} {random.randint(10, 99)}"


def colour(random: Random) -> str:
    return random.choice(COLOURS)


def room(random: Random) -> str:
    return f"room {random.randint(1, 499)}"
