"""Schemathesis against a running service: every operation of its OpenAPI document, the same requests in each run.

Where it finds a fault the product is mended, or its document; what is left out of its checks says why.
"""

import asyncio
import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext, unregister

SEED = 20261125
TIMEOUT_S = 30
KNOWN_SHARE = 0.8
"""How often a random request names something that is there, instead of what nobody has heard of."""
TEXT_CHARS_MAX = 1_000
KEY_CHARS_MAX = 190

Document = dict[str, Any]
Values = Mapping[str, Sequence[str | int]]

LEFT_OUT = {
    # A well-formed request may break a rule that JSON Schema cannot say: its documented answer is 422.
    "positive_data_acceptance": {"enabled": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the service knows: `names` by path parameter, and by operation where that needs its own; bodies too."""

    names: Values = field(default_factory=dict)
    names_of: Mapping[str, Values] = field(default_factory=dict)
    bodies: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer that the document does not allow, or a request that could not be made."""

    check: str
    operation: str
    message: str
    request: str = ""

    def __str__(self) -> str:
        return f"{self.operation}: {self.check}\n{self.message}\n{self.request}"


@dataclass(slots=True, kw_only=True)
class Exploration:
    """What was tried and what was found: `statuses` counts the answers by operation and status."""

    faults: list[Fault] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def succeeded(self) -> set[str]:
        """The operations that have answered with success at least once."""
        return {operation for operation, status in self.statuses if 200 <= status < 400}


def operations_of(document: Document) -> list[str]:
    """Every operation as `METHOD /path`."""
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


async def explore(url: str, document: Document, *, token: str, known: Known, examples_max: int) -> Exploration:
    """Try every operation of `document` at `url`: its examples, its bounds, and `examples_max` random requests each."""
    config = {
        "seed": SEED,
        "base-url": url,
        "request-timeout": TIMEOUT_S,
        "continue-on-failure": True,
        "auth": {"openapi": {"HTTPBearer": {"bearer": token}}},
        "checks": LEFT_OUT,
        "generation": {"deterministic": True, "max-examples": examples_max, "no-shrink": True, "database": "none"},
        "dictionaries": {name: {"values": list(values)} for name, values in known.names.items()},
        "parameters": {f"path.{name}": {"dictionary": name, "probability": KNOWN_SHARE} for name in known.names},
        # Links between operations are explored by the tests of what each operation promises.
        "phases": {
            "stateful": {"enabled": False},
            # Names from answers would differ from run to run, and lead one operation to what another one needs.
            **{phase: {"extra-data-sources": {"responses": False}} for phase in ("examples", "coverage", "fuzzing")},
        },
    }
    # The service answers in this process's event loop, which must not wait for itself.
    return await asyncio.to_thread(_explore, _with_known(document, known), config)


def _with_known(document: Document, known: Known) -> Document:
    """The document with examples that name what is there."""
    document = copy.deepcopy(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            label = f"{method.upper()} {path}"
            names = {**known.names, **known.names_of.get(label, {})}
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in names:
                    parameter.pop("example", None)
                    parameter["schema"].pop("examples", None)
                    parameter["examples"] = {str(value): {"value": value} for value in names[parameter["name"]]}
            if label in known.bodies:
                for content in operation["requestBody"]["content"].values():
                    content.pop("example", None)
                    content["examples"] = {"known": {"value": known.bodies[label]}}
    return document


def _explore(document: Document, config: Document) -> Exploration:
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(config))
    schema.hook("filter_query")(_fits_the_request_line)
    found = Exploration()
    with _own_keys():
        _collect(from_schema(schema).execute(), found)
    return found


def _collect(stream: Iterable[events.EngineEvent], found: Exploration) -> None:
    for event in stream:
        match event:
            case events.ScenarioFinished():
                _take(event.recorder, found)
            case events.NonFatalError():
                fault = Fault(check=type(event.value).__name__, operation=event.label, message=str(event.value))
                found.faults.append(fault)
            case events.FatalError():
                raise event.exception


def _fits_the_request_line(context: HookContext, query: Any) -> bool:
    # The HTTP server refuses a longer address before the service sees it.
    return query is None or len(str(query)) < 4_000


@contextmanager
def _own_keys() -> Iterator[None]:
    """Give each request an Idempotency-Key of its own, as the document asks: else most would be refused for it."""
    numbers = count()

    def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
        key = case.headers.get("idempotency-key") if case.headers else None
        if isinstance(key, str) and key and len(key) < KEY_CHARS_MAX:
            case.headers["idempotency-key"] = f"{next(numbers)}-{key}"

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        unregister(before_call)


def _take(recorder: ScenarioRecorder, found: Exploration) -> None:
    for case_id, interaction in recorder.interactions.items():
        if interaction.response is not None:
            label = recorder.cases[case_id].value.operation.label
            found.statuses[label, interaction.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                found.faults.append(
                    Fault(
                        check=check.name,
                        operation=recorder.cases[case_id].value.operation.label,
                        message=f"{failure.title}: {failure.message}"[:TEXT_CHARS_MAX],
                        request=check.failure_info.code_sample[:TEXT_CHARS_MAX],
                    )
                )
