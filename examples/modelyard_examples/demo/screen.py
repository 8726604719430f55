"""Prints the demo: acts with a line of explanation, live progress, tables, and a checked list at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.rule import Rule
from rich.table import Table

WIDTH_MAX = 120
PIPED_WIDTH = 10_000
"""Output that is no terminal is never wrapped: a name that is broken into pieces can be neither searched nor copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedClaim:
    """A statement about Modelyard, whether it held, and what was measured."""

    text: str
    held: bool
    seen: str


@dataclass(slots=True)
class Screen:
    """Prints to a console, and keeps the list of claims."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    claims: list[CheckedClaim] = field(default_factory=list)
    _acts: int = 0

    def __post_init__(self) -> None:
        self.console.width = min(self.console.width, WIDTH_MAX) if self.console.is_terminal else PIPED_WIDTH

    def act(self, title: str, lead: str) -> None:
        """Begin an act."""
        self._acts += 1
        self.console.print()
        rule = Rule(f"[bold]{self._acts}. {title}", align="left", style="cyan")
        self.console.print(rule, width=min(self.console.width, WIDTH_MAX))
        self.console.print(lead, style="dim")

    def say(self, text: str) -> None:
        """Print one line about what happens."""
        self.console.print(f"  {text}")

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[str], None]]:
        """A spinner while something goes on; the given function changes its text."""
        with self.console.status(f"{text} …") as status:
            yield lambda step: status.update(f"{text}: {step} …")

    @contextmanager
    def counting(self, text: str, *, total: int) -> Iterator[Callable[[], None]]:
        """A progress bar; the given function advances it by one."""
        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(),
            MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda: progress.advance(task)

    def table(self, *columns: str, rows: Sequence[Sequence[object]], title: str | None = None) -> None:
        """Print a table. Columns that have only numbers are aligned to the right."""
        table = Table(title=title, title_justify="left", header_style="bold", border_style="dim")
        for number, column in enumerate(columns):
            is_numeric = bool(rows) and all(_is_numeric(str(row[number])) for row in rows)
            table.add_column(column, justify="right" if is_numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self.console.print(table)

    def claim(self, text: str, *, held: bool, seen: str) -> None:
        """Print a checked claim, and keep it for the list at the end."""
        self.claims.append(CheckedClaim(text=text, held=held, seen=seen))
        shown = f"{_mark(held)} {text}\n  [dim]{escape(seen)}[/]"
        self.console.print(Padding(shown, (0, 0, 0, 2), expand=self.console.is_terminal))

    def finale(self, *, seconds: float, next_steps: str) -> bool:
        """Print the list of all claims. Return whether every one held."""
        self.act("What was proved", f"Every line was measured in this run, which took {seconds:.0f} s.")
        for claim in self.claims:
            self.console.print(f"  {_mark(claim.held)} {claim.text}")
        failed = [claim for claim in self.claims if not claim.held]
        for claim in failed:
            self.console.print(f"  [red]did not hold:[/] {claim.text}: {claim.seen}")
        self.console.print(
            Panel(
                next_steps,
                title="Where to look next",
                title_align="left",
                border_style="dim",
                expand=self.console.is_terminal,
            )
        )
        return bool(self.claims) and not failed


def _mark(held: bool) -> str:
    return "[bold green]✔[/]" if held else "[bold red]✘[/]"


def _is_numeric(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("%", "").replace("+", "").replace("-", "").strip().isdigit()
