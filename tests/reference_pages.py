"""The pages of docs/reference that the code itself can say: `python -m tests.reference_pages` writes them."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from modelyard_events.acls import acls
from modelyard_registry.acls import table
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_runtime.access.permissions import ROLES, Permission, Role
from modelyard_runtime.problems import ProblemError
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
TABLE_BEGINS, TABLE_ENDS = "<!-- table -->", "<!-- end of the table -->"
SETTINGS = {
    "registry": "modelyard_registry.settings",
    "router": "modelyard_router.settings",
    "shadow_worker": "modelyard_shadow_worker.settings",
    "cache_invalidator": "modelyard_cache_invalidator.settings",
}
PROBLEMS = {
    "modelyard_runtime": "All services",
    "modelyard_registry": "Registry",
    "modelyard_router": "Router",
    "modelyard_cache_invalidator": "Cache invalidator",
}


def metrics_page() -> str:
    """Every metric, by the module that declares it."""
    lines = [
        "# Metrics\n",
        "Each service answers `/metrics` in Prometheus' format. No metric has a label by tenant, entity, unit,",
        "event or digest. This page is made by `python -m tests.reference_pages`.\n",
    ]
    for module in _metric_modules():
        lines += [f"## {module.__name__.removesuffix('.metrics').replace('modelyard_', '')}\n"]
        lines += ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                # A metric's name, kind and help have no public attributes; `describe` gives all but the labels.
                described = next(iter(metric.describe()))
                suffix = "_total" if described.type == "counter" else ""
                labels = ", ".join(f"`{label}`" for label in metric._labelnames)
                row = (f"`{described.name}{suffix}`", described.type, labels, described.documentation)
                lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Every setting, first those that all services have."""
    common = importlib.import_module("modelyard_runtime.settings").ServiceSettings
    lines = [
        "# Settings\n",
        "Read once, at the start, from environment variables. Lists and mappings are JSON.",
        "This page is made by `python -m tests.reference_pages`.\n",
        "## All services\n",
        *_settings_table(common, common=None),
    ]
    for service, module in SETTINGS.items():
        settings = importlib.import_module(module).Settings
        lines += [f"## {service}\n", *_settings_table(settings, common=common)]
    return "\n".join(lines)


def _settings_table(settings: type[BaseModel], *, common: type[BaseModel] | None) -> Iterator[str]:
    for described in (settings, *_families_of(settings, common=common)):
        yield " ".join((described.__doc__ or "").split()) + "\n"
    yield "| variable | default |"
    yield "|---|---|"
    for name, field in settings.model_fields.items():
        shared = common.model_fields.get(name) if common else None
        if shared is None or shared.default != field.default:
            default = "required" if field.default is PydanticUndefined and not field.default_factory else None
            value = field.get_default(call_default_factory=True)
            yield f"| `MODELYARD_{name.upper()}` | {default or f'`{_text(value)}`'} |"
    yield ""


def _families_of(settings: type[BaseModel], *, common: type[BaseModel] | None) -> Iterator[type[BaseModel]]:
    """The classes between a service's settings and those of all services, which explain what they add."""
    for each in settings.__mro__[1:]:
        is_ours = issubclass(each, BaseModel) and each.__module__.startswith("modelyard_")
        if is_ours and not (common is not None and issubclass(common, each)):
            yield each


def _text(value: object) -> str:
    if hasattr(value, "get_secret_value"):
        return '""'
    if isinstance(value, tuple):
        return "[]" if not value else str(list(value))
    return str(value) if str(value) else '""'


def _metric_modules() -> Iterator[ModuleType]:
    for file in sorted([*ROOT.glob("libs/*/modelyard_*/**/metrics.py"), *ROOT.glob("services/*/**/metrics.py")]):
        parts = file.relative_to(ROOT).with_suffix("").parts[2:]
        yield importlib.import_module(".".join(parts))


def roles_page() -> str:
    """The page about roles, its table made anew; the words around it are written by hand."""
    roles = list(Role)
    table = [
        f"| permission | {' | '.join(f'`{role}`' for role in roles)} |",
        f"|---|{'---|' * len(roles)}",
        *(
            f"| `{each}` | {' | '.join('yes' if each in ROLES[role] else '' for role in roles)} |"
            for each in Permission
        ),
    ]
    return _with_table("roles.md", table)


def audit_page() -> str:
    """The page about the audit log, its table of actions made anew; the words around it are written by hand."""
    rows = [f"| `{action}` | {action.meaning} |" for action in sorted(AuditAction)]
    return _with_table("audit-log.md", ["| action | what was done |", "|---|---|", *rows])


def _with_table(name: str, table: list[str]) -> str:
    before, _, rest = (REFERENCE / name).read_text().partition(TABLE_BEGINS)
    return "\n".join([before + TABLE_BEGINS, *table, TABLE_ENDS]) + rest.partition(TABLE_ENDS)[2]


def acls_page() -> str:
    """Every ACL, by party."""
    lines = [
        "# Access lists of the broker\n",
        "What each party may do, read off the catalogue of topics; without a prefix. `python -m",
        "modelyard_registry.acls` prints the same as commands of Kafka's `kafka-acls.sh` for your users and your",
        "prefix; [how to secure Kafka](../how-to/secure-kafka.md) says how. Outsiders (from `training-job` on) may",
        "have several users each.",
        "This page is made by `python -m tests.reference_pages`.\n",
        *table(acls()),
        "",
    ]
    return "\n".join(lines)


def problems_page() -> str:
    """Every problem type, by the package that answers it."""
    lines = [
        "# Problem types\n",
        "Every error is answered as `application/problem+json` (RFC 9457). A program tells errors apart by `type`,",
        "which is `/problems/` and the code; codes and statuses do not change. `detail` says what is wrong with this",
        "request, and `fix` what helps; the last column says it in general.",
        "This page is made by `python -m tests.reference_pages`.\n",
    ]
    for package, title in PROBLEMS.items():
        lines += [f"## {title}\n", "| code | status | when | what to do |", "|---|---|---|---|"]
        lines += [f"| `{each.code}` | {each.status} | {each.when} | {each.fix} |" for each in problems_in(package)]
        lines.append("")
    return "\n".join(lines)


def problems_in(package: str) -> list[type[ProblemError]]:
    """The problems that the modules of a package declare, by code; not families, which are never answered."""
    modules = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    for module in modules:
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    declared = [each for each in _descendants(ProblemError) if each.__module__.startswith(f"{package}.")]
    return sorted((each for each in declared if "code" in vars(each)), key=lambda each: each.code)


def _descendants(problem: type[ProblemError]) -> Iterator[type[ProblemError]]:
    yield problem
    for each in problem.__subclasses__():
        yield from _descendants(each)


PAGES = {
    "acls.md": acls_page,
    "audit-log.md": audit_page,
    "metrics.md": metrics_page,
    "problems.md": problems_page,
    "settings.md": settings_page,
    "roles.md": roles_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
