"""What a benchmark says: figures side by side, the ratio, and the line that it must reach."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

CONSOLE = Console(highlight=False, width=150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One claim. `ratio` is ours against the reference; `must` says what it has to be, and `reached` whether it is.

    `reached` is None when the line has no bound here and is printed for what it is.
    """

    claim: str
    ours: str
    reference: str
    ratio: str
    must: str
    reached: bool | None


def at_least(ratio: float, bound: float) -> tuple[str, str, bool]:
    """Ratio, bound and verdict of a claim that more is better."""
    return f"{ratio:.2f}×", f"≥ {bound:g}×", ratio >= bound


def at_most(ratio: float, bound: float) -> tuple[str, str, bool]:
    """Ratio, bound and verdict of a claim that less is better."""
    return f"{ratio:.2f}×", f"≤ {bound:g}×", ratio <= bound


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def against_hop(claim: str, *, ours_ms: Sequence[float], hop_ms: Sequence[float], p50: float, p99: float) -> list[Line]:
    """The two lines of a claim about latency against a bare hop: at most `p50` times and `p99` times its own."""
    lines = []
    for name, share, bound in (("p50", 0.5, p50), ("p99", 0.99, p99)):
        ours, hop = quantile(ours_ms, share), quantile(hop_ms, share)
        ratio, must, reached = at_most(ours / hop, bound)
        lines.append(
            Line(
                claim=f"{claim}, {name} of {len(ours_ms)}",
                ours=f"{ours:.2f} ms",
                reference=f"bare hop {hop:.2f} ms",
                ratio=ratio,
                must=must,
                reached=reached,
            )
        )
    return lines


def progress(what: str) -> None:
    """Say what is being measured, to the person who waits."""
    CONSOLE.print(f"[dim]… {what}[/]")


def print_lines(title: str, lines: Sequence[Line]) -> None:
    """Print the claims of one benchmark as a table."""
    table = Table(title=title, title_justify="left", border_style="dim")
    for column in ("claim", "ours", "reference", "ratio", "must be", ""):
        table.add_column(column, overflow="fold")
    marks = {True: "[green]reached[/]", False: "[red]not reached[/]", None: ""}
    for line in lines:
        table.add_row(line.claim, line.ours, line.reference, line.ratio, line.must, marks[line.reached])
    CONSOLE.print(table)
