"""What is printed and what is kept of a run."""
# ruff: noqa: RUF001

from collections.abc import Sequence

from tests.bench.sums import Goal, Row, Spread, ratio


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text: medians, lowest and highest round, ratios, goals."""
    return "\n\n".join(_block(row) for row in rows)


def as_json(row: Row) -> dict[str, object]:
    """Return a row with every round, for a file."""
    return {
        "name": row.name,
        "unit": row.unit,
        "figures": {
            side: {
                "median": spread.median,
                "min": spread.low,
                "max": spread.high,
                "rounds": list(spread.rounds),
                "times": {
                    other: ratio(row.figures, of=side, to=other) for other in row.compared_with
                },
            }
            for side, spread in row.figures.items()
        },
        "goals": [
            {"goal": goal.words, "reached": goal.is_reached(row.figures)} for goal in row.goals
        ],
        "notes": list(row.notes),
    }


def _block(row: Row) -> str:
    head = ["", f"median {row.unit}", "min–max", *(f"× {other}" for other in row.compared_with)]
    head += [f"× {row.beside[0]}"] if row.beside[0] else []
    lines = [head, *(_line(row, side) for side in row.figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    table_lines = ["  " + "  ".join(_justified(line, widths)) for line in lines]
    goals = [f"  Goal: {_verdict(row, goal)}" for goal in row.goals]
    return "\n".join([row.name, *table_lines, *goals, *(f"  {note}" for note in row.notes)])


def _justified(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    side, *figures = line
    width, *others = widths
    return [
        side.ljust(width),
        *(figure.rjust(other) for figure, other in zip(figures, others, strict=True)),
    ]


def _line(row: Row, side: str) -> list[str]:
    spread: Spread = row.figures[side]
    ratios = [
        "" if other == side else _times(ratio(row.figures, of=side, to=other))
        for other in row.compared_with
    ]
    name, others = row.beside
    if name:
        ratios.append(_times(spread.median / others[side].median) if side in others else "")
    return [side, _number(spread.median), f"{_number(spread.low)}–{_number(spread.high)}", *ratios]


def _verdict(row: Row, goal: Goal) -> str:
    return f"{goal.words}: {'reached' if goal.is_reached(row.figures) else 'NOT reached'}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _times(value: float) -> str:
    return f"{value:,.1f}" if value >= 1 else f"{value:.2f}"
