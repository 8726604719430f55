"""An alert about a metric that does not exist never fires: each that is named exists, and each alert is explained."""

import re
from pathlib import Path

from tests.reference_pages import REFERENCE, ROOT

ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
WATCH = Path(ROOT / "docs" / "how-to" / "watch.md").read_text()
METRIC = re.compile(r"\b(?:runtime|registry|relay|router|cache_invalidator|shadow_worker)_[a-z_]+")


def test_every_metric_that_an_alert_names_exists() -> None:
    kinds = dict(re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", (REFERENCE / "metrics.md").read_text(), re.MULTILINE))
    exported = {name for name, kind in kinds.items() if kind != "histogram"}
    exported |= {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"}
    named = {name for line in ALERTS.splitlines() if "summary:" not in line for name in METRIC.findall(line)}

    assert named - exported == set()
    assert len(named) > 15


def test_every_alert_says_how_urgent_it_is_and_what_happened_and_the_page_says_what_to_do() -> None:
    alerts = ALERTS.split("      - alert: ")[1:]
    names = [alert.split("\n", 1)[0] for alert in alerts]

    for alert in alerts:
        assert re.search(r"^        expr: \S", alert, re.MULTILINE), alert
        assert re.search(r"^        labels: \{severity: (page|ticket)\}$", alert, re.MULTILINE), alert
        assert re.search(r"^          summary: \"\S", alert, re.MULTILINE), alert
    assert len(set(names)) == len(names)
    assert [name for name in names if f"`{name}`" not in WATCH] == []
