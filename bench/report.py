"""What a measurement hands back: tables of figures, and targets with the figure beside each."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """What the project wants of one figure."""

    what: str
    figure: float
    bound: float
    at_least: bool = True
    """Otherwise at most."""
    aim: float | None = None
    """Better than the bound; not reaching it is no failure."""
    digits: int = 2
    unit: str = ""

    @property
    def met(self) -> bool:
        if math.isnan(self.figure):
            return False
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    def cells(self) -> list[str]:
        sign = ">=" if self.at_least else "<="
        wanted = f"{sign} {self._number(self.bound)}"
        if self.aim is not None:
            wanted += f", aim {self._number(self.aim)}"
        verdict = "met" if self.met else "**not met**"
        return [self.what, wanted, self._number(self.figure), verdict]

    def _number(self, value: float) -> str:
        return f"{value:,.{self.digits}f}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Report:
    """Of one measurement."""

    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """The raw numbers, for --json."""
    notes: list[str] = field(default_factory=list)

    def add(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.tables.append(Table(title, columns, rows))

    def target(self, what: str, figure: float, bound: float, **more: Any) -> None:
        self.targets.append(Target(what, figure, bound, **more))

    def text(self) -> str:
        parts = [markdown(table) for table in self.tables]
        if self.targets:
            columns = ("target", "wanted", "figure", "")
            rows = [target.cells() for target in self.targets]
            parts.append(markdown(Table("Targets", columns, rows)))
        parts += self.notes
        return "\n\n".join(parts)

    def plain(self) -> dict[str, Any]:
        return {
            "figures": self.figures,
            "targets": [asdict(target) | {"met": target.met} for target in self.targets],
            "tables": [asdict(table) for table in self.tables],
            "notes": self.notes,
        }


def markdown(table: Table) -> str:
    """Aligned, so that it reads as well in a terminal as in docs/performance.md."""
    widths = [
        max(len(row[at]) for row in (table.columns, *table.rows))
        for at in range(len(table.columns))
    ]
    lines = [
        _line(table.columns, widths),
        "|" + "|".join("-" * (width + 2) for width in widths) + "|",
        *(_line(row, widths) for row in table.rows),
    ]
    return f"### {table.title}\n\n" + "\n".join(lines)


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"
