"""Which modules hold rules that unit tests must guard against every change, and which changes change nothing."""

MODULES: dict[str, tuple[str, ...]] = {
    "modelyard_routing.allocation": ("tests/unit/routing",),
    "modelyard_routing.bucketing": ("tests/unit/routing",),
    "modelyard_routing.decide": ("tests/unit/routing",),
    "modelyard_routing.passed_over": ("tests/unit/routing",),
    "modelyard_routing.receipt": ("tests/unit/routing",),
    "modelyard_routing.route": ("tests/unit/routing",),
    "modelyard_routing.routing_table": ("tests/unit/routing",),
    "modelyard_events.audit_chain": ("tests/unit/events/test_audit_chain.py",),
    "modelyard_prediction_cache.fields": ("tests/unit/prediction_cache",),
    "modelyard_runtime.consume.key_order": ("tests/unit/runtime/consume/test_key_order.py",),
    "modelyard_shadow_worker.domain.compare": ("tests/unit/shadow_worker",),
    "modelyard_shadow_worker.domain.replay": ("tests/unit/shadow_worker",),
    "modelyard_registry.approvals.domain": ("tests/unit/registry/test_approvals_domain.py",),
    "modelyard_registry.experiments.domain": ("tests/unit/registry/test_experiments_domain.py",),
    "modelyard_registry.gates.domain": ("tests/unit/registry/test_gates.py",),
    "modelyard_registry.gates.signatures": ("tests/unit/registry/test_signatures.py",),
    "modelyard_registry.inbox.domain": (
        "tests/unit/registry/test_inbox_domain.py",
        "tests/unit/registry/test_scoreboard_domain.py",
    ),
    "modelyard_registry.lifecycle.domain": (
        "tests/unit/registry/test_lifecycle_domain.py",
        "tests/unit/registry/test_policies_domain.py",
    ),
    "modelyard_registry.models.domain": ("tests/unit/registry/test_models_domain.py",),
    "modelyard_registry.registration.feature_differences": ("tests/unit/registry/test_feature_differences.py",),
    "modelyard_registry.policies.domain": ("tests/unit/registry/test_policies_domain.py",),
    "modelyard_registry.routes.domain": ("tests/unit/registry/test_routes_domain.py",),
    "modelyard_registry.scoreboard.domain": ("tests/unit/registry/test_scoreboard_domain.py",),
}
"""The tests that guard each module."""

EQUIVALENT: dict[str, dict[str, str]] = {
    "modelyard_routing.allocation": {
        "Share.takes: draw(self.drawn_from, unit) < self.threshold -> draw(self.drawn_from, unit) <= self.threshold": (
            "differs for one draw in 2^64, and nobody knows a unit that has it"
        ),
    },
    "modelyard_routing.decide": {
        "decide: table.routes.get((project, model_type)) if model_type is not None else None"
        " -> None if model_type is not None else table.routes.get((project, model_type))": (
            "the short way for most requests: `_route_of` finds the same route"
        ),
        "decide: model_type is not None -> model_type is None": "as above",
    },
    "modelyard_routing.route": {
        "_Compiler._decision: champion is not None and champion is not served"
        " -> champion is not None or champion is not served": (
            "the global champion is never its own fallback (`_distinct`) nor its own shadow (its scope is global)"
        ),
    },
    "modelyard_shadow_worker.domain.compare": {
        "compare: True -> False": "`strict` of a `zip` of two lists whose lengths were compared before",
        "_is_finite: False -> None": "only its truth is looked at",
    },
    "modelyard_registry.gates.signatures": {
        "_fits: False -> None": "only its truth is looked at",
    },
    "modelyard_registry.inbox.domain": {
        "select_uncounted: 1 -> 2": "-1 and -2 are both below every sequence",
    },
    "modelyard_registry.lifecycle.domain": {
        "_needs_of: (*needs, *_RETIREMENT) -> None": "every such transition to `archived` is in the default table",
    },
}
"""Changes that no caller can see, by module, and why."""
