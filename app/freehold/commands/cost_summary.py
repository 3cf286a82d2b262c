"""`freehold cost summary`: a month of the ledger."""

from __future__ import annotations

import argparse
import asyncio
import json

from freehold.commands.costs_access import open_costs_access
from freehold.paths import user_paths
from freehold.wire_costs import By, CostRow, CostSummary

JOULES_PER_KWH = 3_600_000


def add_summary(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the arguments."""
    summary = actions.add_parser(
        "summary",
        help="what a month used and cost, by person, model or day",
        description="What a month used and cost. Works through the running server, or on the "
        "ledger itself while none runs.",
    )
    summary.add_argument("--month", default="", metavar="YYYY-MM", help="default: this month")
    summary.add_argument("--by", choices=("person", "model", "day"), default="person")
    summary.add_argument("--json", action="store_true")


def run_summary(args: argparse.Namespace) -> int:
    """Print the month."""
    found = asyncio.run(_read(args.month, args.by))
    if args.json:
        print(json.dumps(document(found)))
        return 0
    print(f"{found.month}, {found.currency}; energy: {', '.join(found.levels) or 'none yet'}")
    print(f"{'':24} {'requests':>9} {'tokens':>12} {'kWh':>10} {'money':>10}")
    for row in (*found.rows, found.total):
        tokens = row.prompt_tokens + row.completion_tokens
        kwh = float(row.energy_joules) / JOULES_PER_KWH
        line = f"{row.name[:24]:24} {row.requests:>9,} {tokens:>12,} {kwh:>10.3f} {row.money:>10}"
        if row is found.total:
            for charge in found.charges:
                print(f"{charge.name[:57]:57} {charge.money:>11}")
        print(line)
    for note in (carbon_line(found), found.note):
        if note:
            print(note)
    return 0


async def _read(month: str, by: By) -> CostSummary:
    async with open_costs_access(user_paths()) as costs:
        return await costs.summary(month, by)


def document(found: CostSummary) -> dict[str, object]:
    """Return a summary as the command's JSON says it."""
    return {
        "month": found.month,
        "by": found.by,
        "currency": found.currency,
        "levels": list(found.levels),
        "rows": [_row(row) for row in found.rows],
        "charges": [
            {"kind": charge.kind, "name": charge.name, "money": str(charge.money)}
            for charge in found.charges
        ],
        "total": _row(found.total),
        "carbon_kg": None if found.carbon_kg is None else float(found.carbon_kg),
        "carbon_source": found.carbon_source,
        "note": found.note,
    }


def carbon_line(found: CostSummary) -> str:
    """Return what the month's electricity stands for, "" where no country is chosen."""
    if found.carbon_kg is None:
        return ""
    return f"about {found.carbon_kg:,.1f} kg CO2, calculated ({found.carbon_source})"


def _row(row: CostRow) -> dict[str, object]:
    return {
        "name": row.name,
        "requests": row.requests,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "energy_joules": float(row.energy_joules),
        # As text: money must not be rounded by a reader's floating point.
        "money": str(row.money),
    }
