"""`freehold cost`: what owning costs and whether it pays."""

from __future__ import annotations

import argparse
import json
from decimal import Decimal, InvalidOperation

from freehold.commands.cost_summary import add_summary, run_summary
from freehold.ledger.money import round_money
from freehold.ledger.ownership import (
    Machine,
    Seats,
    break_even_years,
    check_machine,
    check_seats,
    discounted_break_even_years,
    net_present_value,
    per_developer_month,
)
from freehold.ledger.verdict import seats_verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    own = actions.add_parser(
        "own-or-rent",
        help="compare a machine of your own with a subscription per developer",
        description="Compare a machine of your own with a subscription per developer. "
        "Everything is calculated from what you enter; nothing is fetched.",
    )
    own.add_argument("--hardware", type=_money, required=True, metavar="USD")
    own.add_argument("--host", type=_money, default=Decimal(0), metavar="USD")
    own.add_argument("--seat-month", type=_money, required=True, metavar="USD")
    own.add_argument("--energy-month", type=_money, required=True, metavar="USD")
    own.add_argument("--developers", type=int, required=True, metavar="N")
    own.add_argument("--life-years", type=_money, default=Decimal(4), metavar="Y")
    own.add_argument(
        "--discount", type=_share, default=Decimal("0.08"), metavar="R", help="yearly, default 0.08"
    )
    own.add_argument(
        "--resale", type=_share, default=Decimal(0), metavar="F", help="share of the price, 0 to 1"
    )
    own.add_argument("--json", action="store_true")
    add_summary(actions)


def run(args: argparse.Namespace) -> int:
    """Print what the action asks for."""
    return run_summary(args) if args.action == "summary" else _compare(args)


def _compare(args: argparse.Namespace) -> int:
    machine = Machine(
        hardware=args.hardware,
        host=args.host,
        resale_share=args.resale,
        life_years=args.life_years,
        energy_per_year=args.energy_month * 12,
    )
    seats = Seats(args.developers, args.seat_month)
    check_machine(machine)
    check_seats(seats)
    rent = seats.per_year
    plain = break_even_years(machine, rent)
    discounted = discounted_break_even_years(machine, rent, args.discount)
    years = max(1, int(machine.life_years))
    value = net_present_value(machine, rent, args.discount, years, resale=True)
    each = per_developer_month(machine, seats.developers)
    verdict = seats_verdict(machine, seats)
    if args.json:
        print(
            json.dumps(
                {
                    "break_even_years": _number(plain),
                    "discounted_break_even_years": _number(discounted),
                    "per_developer_month": float(round_money(each)),
                    "npv": float(round_money(value)),
                    "verdict": verdict.sentence,
                }
            )
        )
        return 0
    print(verdict.sentence)
    print(f"  break-even            {_years(plain)} (discounted: {_years(discounted)})")
    print(f"  per developer, month  {_dollars(each)}")
    print(f"  net present value     {_dollars(value)} over {years} years")
    return 0


def _money(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not value.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _share(text: str) -> Decimal:
    value = _money(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _number(value: Decimal | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _dollars(value: Decimal) -> str:
    return f"{'-' if value < 0 else ''}${abs(round_money(value)):,}"


def _years(value: Decimal | None) -> str:
    return "never" if value is None else f"{value:.2f} years"
