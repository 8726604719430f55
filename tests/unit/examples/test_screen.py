"""The demo's output: nothing in it is broken into pieces where no terminal limits the width."""

from io import StringIO

from modelyard_examples.demo.screen import Screen
from rich.console import Console

LONG = "-".join(["risk-scoring-debt-consolidation"] * 8)


def shown_on(console: Console) -> str:
    screen = Screen(console=console)
    screen.act("A title", LONG)
    screen.say(LONG)
    screen.table("model", "number", rows=[(LONG, 1), (f"other-{LONG}", 20)], title=LONG)
    screen.claim(LONG, held=True, seen=LONG)
    screen.finale(seconds=1.0, next_steps=LONG)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_piped_output_breaks_no_name_and_pads_no_line() -> None:
    shown = shown_on(Console(file=StringIO(), highlight=False, force_terminal=False))

    assert shown.count(LONG) == 9
    assert max(len(line) for line in shown.splitlines()) < 2 * len(LONG)


def test_a_terminal_is_filled_up_to_its_width() -> None:
    shown = shown_on(Console(file=StringIO(), highlight=False, force_terminal=True, width=60, color_system=None))

    assert LONG not in shown
    assert max(len(line) for line in shown.splitlines()) <= 60
