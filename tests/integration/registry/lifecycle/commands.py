"""What callers send: each command is a value, and has one HTTP request."""

from dataclasses import dataclass, field
from typing import Any

MODEL_TYPE = "risk_scoring"
ENDPOINT = "http://127.0.0.1:9000/infer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One call. `id` names it in the audit log; `key` is its Idempotency-Key."""

    id: str
    op: str
    actor: str
    args: dict[str, Any] = field(default_factory=dict)
    if_match: int | None = None
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        headers = {"X-Request-Id": self.id}
        if self.if_match is not None:
            headers["If-Match"] = f'"{self.if_match}"'
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return headers

    def __str__(self) -> str:
        more = "".join(f" {name}={str(value)[:80]}" for name, value in self.args.items() if value is not None)
        tag = "" if self.if_match is None else f" if-match={self.if_match}"
        key = "" if self.key is None else f" key={self.key}"
        return f"{self.actor}: {self.op}{more}{tag}{key}"


def url_of(args: dict[str, Any]) -> str:
    """Where a version is to answer."""
    return f"{ENDPOINT}/{args['name']}/{args['number']}/{args['place']}"


def http_of(  # noqa: C901 - one case for each operation reads as the table that it is.
    command: Command,
) -> tuple[str, str, dict[str, Any] | None, dict[str, str] | None]:
    """Method, path under the project, body and query."""
    args = command.args
    model = f"/registered-models/{args.get('name')}"
    version = f"{model}/versions/{args.get('number')}"
    request = f"/transition-requests/{args.get('request')}"
    match command.op:
        case "create":
            document = {"name": args["name"], "model_type": MODEL_TYPE, "primary_metric": "auc"}
            scoped = {"scope": "industry", "industry": args["industry"]} if args["industry"] else {}
            return "POST", "/registered-models", {**document, **scoped}, None
        case "rename":
            return "POST", f"{model}/rename", {"name": args["new_name"]}, None
        case "describe":
            return "PATCH", model, {"description": args["description"]}, None
        case "delete":
            return "DELETE", model, None, None
        case "restore":
            return "POST", f"{model}/restore", {}, None
        case "register":
            evidence = {"metrics": {"auc": args["auc"]}, "validation_data_version": args["data"]}
            chosen = {name: args[name] for name in ("semver", "change_type", "run_id") if args[name]}
            return "POST", f"{model}/versions", {"digest": args["digest"], "evidence": evidence, **chosen}, None
        case "move" | "ask" | "try_move":
            document = {"to_stage": args["word"], "replaces": args["replaces"]}
            noun = {"move": "transitions", "ask": "transition-requests", "try_move": "transitions/dry-run"}[command.op]
            return "POST", f"{version}/{noun}", document, None
        case "deploy":
            return "PUT", f"{version}/deployments/production", {"url": url_of(args), "health": args["health"]}, None
        case "ask_endpoint":
            document = {"url": url_of(args), "health": args["health"]}
            return "POST", f"{version}/deployments/production/requests", document, None
        case "build":
            return "PUT", f"{version}/build-status", {"build_status": args["status"]}, None
        case "quarantine":
            return "PUT", f"{version}/quarantine", {"quarantined": args["quarantined"]}, None
        case "review":
            return "PUT", f"{version}/review-status", {"review_status": args["status"]}, None
        case "annotate":
            return "PATCH", version, {"description": args["description"]}, None
        case "set_alias":
            expected = {"expected": args["expected"]} if args["is_expected"] else {}
            return "PUT", f"{model}/aliases/{args['alias']}", {"number": args["number"], **expected}, None
        case "delete_alias":
            query = {"expected": str(args["expected"])} if args["is_expected"] else None
            return "DELETE", f"{model}/aliases/{args['alias']}", None, query
        case "appoint":
            names = ("number", "replaces", "replaces_model")
            return "POST", f"{model}/champion", {name: args[name] for name in names}, None
        case "roll_back":
            return "POST", f"{model}/rollback", {"replaces": args["replaces"]}, None
        case "set_policy":
            return "PUT", f"{model}/policy" if args["name"] else "/policies", args["policy"], None
        case "approve" | "reject" | "withdraw" | "apply":
            return "POST", f"{request}/{command.op}", {"comment": args["comment"]}, None
        case "start":
            treatment = {"model": args["name"], "number": args["number"], "share_bp": 5_000}
            document = {"key": args["key"], "model_type": MODEL_TYPE, "industries": args["industries"]}
            return "POST", "/experiments", {**document, "treatment": treatment}, None
        case "stop":
            return "POST", f"/experiments/{args['key']}/stop", {}, None
    raise AssertionError(f"no such operation: {command.op}")
