"""The registry as the tests use it: one method per operation that a story tells of, and every answer a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from tests.world.http_client import Reply
from tests.world.model_server import INPUTS, ModelServer

PAGE_ITEMS = "100"
PAGES_MAX = 1_000

HELD_OUT = "held-out-1"
PRIMARY_METRIC = "rmse"

Document = dict[str, Any]


class Caller(Protocol):
    """Whatever carries a request to the service."""

    async def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """One project of the registry, as one actor sees it."""

    http: Caller
    project: str

    async def call(
        self, method: str, path: str, document: object = None, *, query: Mapping[str, str] | None = None
    ) -> Reply:
        """Any operation; `path` is below the project."""
        return await self.http.call(method, self.path(path), document, query=query)

    def path(self, path: str) -> str:
        return f"/api/v1/projects/{self.project}{path}"

    async def found(self) -> None:
        """Create the project, in which everything else happens."""
        (await self.http.call("POST", "/api/v1/projects", {"name": self.project})).expect(201)

    async def create_model(self, name: str, **facts: object) -> Reply:
        """Create a registered model; a lower `rmse` is better unless `facts` say otherwise."""
        document = {"name": name, "primary_metric": PRIMARY_METRIC, "higher_is_better": False, **facts}
        return await self.call("POST", "/registered-models", document)

    async def upload(self, artifact: bytes) -> str:
        """Upload an artifact; answers its digest."""
        digest = f"sha256:{sha256(artifact).hexdigest()}"
        (await self.http.call("PUT", self.path(f"/artifacts/{digest}"), data=artifact)).expect(200, 201)
        return digest

    async def register(
        self, model: str, *, digest: str, run_id: str, evidence: Mapping[str, object] | None = None
    ) -> Reply:
        """Register an uploaded artifact as the next version."""
        document = {"digest": digest, "run_id": run_id, "evidence": {**(evidence or an_evidence())}}
        return await self.call("POST", f"/registered-models/{model}/versions", document)

    async def get_version(self, model: str, number: int) -> Reply:
        return await self.call("GET", f"/registered-models/{model}/versions/{number}")

    async def deploy(self, model: str, number: int, *, url: str, timeout_s: float = 5.0) -> Reply:
        """Record where a version answers."""
        document = {
            "url": url,
            "protocol": "open-inference-v2",
            "inputs": list(INPUTS),
            "health": "healthy",
            "timeout_s": timeout_s,
        }
        path = f"/registered-models/{model}/versions/{number}/deployments/production"
        return await self.call("PUT", path, document)

    async def move(self, model: str, number: int, to_stage: str, *, reason: str = "a test says so") -> Reply:
        """Move a version to another stage."""
        path = f"/registered-models/{model}/versions/{number}/transitions"
        return await self.call("POST", path, {"to_stage": to_stage, "reason": reason})

    async def roll_back(self, model: str, *, replaces: int) -> Reply:
        """Take a champion back."""
        document = {"replaces": replaces, "reason": "a test says so"}
        return await self.call("POST", f"/registered-models/{model}/rollback", document)

    async def read_features_from(self, url_template: str, *, model_type: str, timeout_s: float = 5.0) -> Reply:
        """Say where the features of a model type's entities are read."""
        document = {"url_template": url_template, "timeout_s": timeout_s}
        return await self.call("PUT", f"/routes/{model_type}/feature-source", document)

    async def start_experiment(
        self, key: str, *, model_type: str, treatment: tuple[str, int], industries: Sequence[str]
    ) -> Reply:
        """Try a version against the champion, on half of the units of some industries."""
        model, number = treatment
        document = {
            "key": key,
            "model_type": model_type,
            "hypothesis": "The treatment errs less.",
            "treatment": {"model": model, "number": number, "share_bp": 5_000},
            "traffic_bp": 10_000,
            "industries": list(industries),
        }
        return await self.call("POST", "/experiments", document)

    async def stop_experiment(self, key: str) -> Reply:
        return await self.call("POST", f"/experiments/{key}/stop", {"reason": "a test says so"})

    async def counts_of(self, key: str) -> dict[str, Document]:
        """What was counted per variant of an experiment."""
        answer = (await self.call("GET", f"/experiments/{key}/counts")).expect(200)
        return {row["variant"]: row for row in answer["variants"]}

    async def routes(self) -> dict[str, Document]:
        """The routing documents, by model type."""
        documents = await self.items("/routes")
        return {document["model_type"]: document for document in documents}

    async def items(self, path: str, **query: str) -> list[Document]:
        """All of a list, page by page; the list is the page's only one, whatever it is called."""
        found: list[Document] = []
        position: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            # A version has few deployments: they are one page.
            size = {} if path.endswith("/deployments") else {"page_size": PAGE_ITEMS}
            page_query = {**size, **query, **position}
            page = (await self.call("GET", path, query=page_query)).expect(200)
            (rows,) = (member for member in page.values() if isinstance(member, list))
            found += rows
            if not page.get("next_page_token"):
                return found
            position = {"page_token": page["next_page_token"]}
        raise AssertionError(f"{path} has more than {PAGES_MAX} pages")

    async def release(
        self,
        model: str,
        *,
        models: ModelServer,
        artifact: bytes,
        run_id: str,
        to_stage: str = "production",
        evidence: Mapping[str, object] | None = None,
    ) -> int:
        """Register a version, deploy it and take it up to a stage; answers its number."""
        digest = await self.upload(artifact)
        reply = await self.register(model, digest=digest, run_id=run_id, evidence=evidence)
        number = int(reply.expect(200, 201)["number"])
        (await self.move(model, number, "staging")).expect(200, 201)
        url = models.endpoint_of(model, number)
        (await self.deploy(model, number, url=url)).expect(200, 201)
        if to_stage != "staging":
            (await self.move(model, number, to_stage)).expect(200, 201)
        return number


def an_evidence(
    *, rmse: float = 4.0, training_examples: int = 10_000, parent: tuple[str, int] | None = None
) -> Document:
    """What a training job says about a version."""
    evidence: Document = {
        "algorithm": "arithmetic",
        "metrics": {PRIMARY_METRIC: rmse},
        "training_examples": training_examples,
        "validation_data_version": HELD_OUT,
        "feature_schema": list(INPUTS),
    }
    return evidence | ({"parent": {"model": parent[0], "number": parent[1]}} if parent else {})
