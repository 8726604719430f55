"""A lender's project: one model type with a global model and one per industry, as most stories need it."""

from dataclasses import dataclass
from typing import Any

from tests.world.registry import Registry, an_evidence
from tests.world.router import Prediction, Router
from tests.world.waiting import until
from tests.world.world import ENTITY_TYPE, World

MODEL_TYPE = "risk_scoring"
GLOBAL_MODEL = "risk"
INDUSTRY = "debt_consolidation"
INDUSTRY_MODEL = "risk-debt"
GLOBAL_RMSE = 5.0
BETTER_RMSE = 4.0
ENOUGH_EXAMPLES = 5_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """A project of the world; its tenant has the project's name, so that stories do not share entities."""

    world: World
    project: str
    registry: Registry
    router: Router

    @classmethod
    def in_project(cls, world: World, project: str) -> "Lending":
        return cls(
            world=world,
            project=project,
            registry=world.registry(project=project),
            router=world.router(),
        )

    @property
    def tenant(self) -> str:
        return self.project

    async def found(self) -> None:
        """Bring a global and an industry model to production, and wait until the router serves them."""
        await self.create_models()
        await self.release_global("v1")
        await self.release_industry("v1")
        await self.read_features()
        await self.settle()

    async def create_models(self) -> None:
        for name, scope in ((GLOBAL_MODEL, {"scope": "global"}), (INDUSTRY_MODEL, industry_scope(INDUSTRY))):
            (await self.registry.create_model(name, model_type=MODEL_TYPE, **scope)).expect(201)

    async def release_global(self, run: str, *, to_stage: str = "production") -> int:
        """A version of the global model, taken up to a stage; answers its number."""
        return await self.registry.release(
            GLOBAL_MODEL,
            models=self.world.models,
            artifact=self.artifact(GLOBAL_MODEL, run),
            run_id=run,
            to_stage=to_stage,
            evidence=an_evidence(rmse=GLOBAL_RMSE),
        )

    async def release_industry(self, run: str, *, to_stage: str = "production") -> int:
        """A version of the industry model that is worth serving, taken up to a stage; answers its number."""
        return await self.registry.release(
            INDUSTRY_MODEL,
            models=self.world.models,
            artifact=self.artifact(INDUSTRY_MODEL, run),
            run_id=run,
            to_stage=to_stage,
            evidence=an_evidence(rmse=BETTER_RMSE, training_examples=ENOUGH_EXAMPLES, parent=(GLOBAL_MODEL, 1)),
        )

    async def read_features(self) -> None:
        """Let the router read features from the model server."""
        template = self.world.models.features_template
        (await self.registry.read_features_from(template, model_type=MODEL_TYPE)).expect(200)

    async def settle(self) -> dict[str, dict[str, Any]]:
        """Wait until the router decides by the registry's own documents; answers them."""
        documents = await self.registry.routes()
        return await until(lambda: self.router.routes(project=self.project), lambda seen: seen == documents)

    async def purge_of(self, entity_id: str, *, version: int) -> None:
        """Wait until it was published that this version of an entity, or a later one, was purged."""
        await self.world.purges.wait_for(entity_id, tenant=self.tenant, version=version)

    async def predict(self, entity_id: str, *, unit_id: str = "borrower-1", industry: str = INDUSTRY) -> Prediction:
        """An answer about an entity, from its features at the source."""
        return await self.router.predict(**self.attributes(entity_id, unit_id=unit_id, industry=industry))

    def attributes(self, entity_id: str, *, unit_id: str = "borrower-1", industry: str = INDUSTRY) -> dict[str, object]:
        """What a request says about itself."""
        return {
            "project": self.project,
            "model_type": MODEL_TYPE,
            "tenant": self.tenant,
            "industry": industry,
            "unit_id": unit_id,
            "entity_type": ENTITY_TYPE,
            "entity_id": entity_id,
        }

    def artifact(self, model: str, run: str) -> bytes:
        """Bytes that no other run has."""
        return f"{self.project} {model} {run}\n".encode() * 100


def industry_scope(industry: str) -> dict[str, str]:
    """What makes a registered model serve one industry."""
    return {"scope": "industry", "industry": industry}
