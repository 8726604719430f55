"""The router as the tests use it: a gateway that keeps what its answers were made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.world.http_client import HttpClient, Reply
from tests.world.model_server import ANSWERED_BY, ENTITY_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An answer of the router, taken apart. `answered_by` and `version_read` are the model server's own words."""

    model: str
    number: int
    answered_by: str
    version_read: int
    receipt: Mapping[str, Any]

    @property
    def decided(self) -> str:
        """The version that the router says has answered, as `model/number`."""
        return f"{self.model}/{self.number}"

    @property
    def reason(self) -> str:
        return str(self.receipt["reason"])

    @property
    def cache(self) -> str:
        return str(self.receipt["cache"])

    @property
    def inference_id(self) -> str:
        return str(self.receipt["inference_id"])

    @property
    def route_revision(self) -> int:
        """Which document it was decided by."""
        return int(self.receipt["route_revision"])

    @property
    def variant(self) -> str | None:
        return self.receipt.get("variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """One router, as one actor sees it."""

    http: HttpClient

    async def route(self, **attributes: object) -> Reply:
        """Which version serves, and why."""
        return await self.http.call("POST", "/v1/route", attributes)

    async def ask(self, **attributes: object) -> Reply:
        """Predict from what the router reads about the entity itself."""
        return await self.http.call("POST", "/v1/predict", {"inputs": [], "parameters": attributes})

    async def predict(self, **attributes: object) -> Prediction:
        """Predict as `ask` does, and insist on an answer."""
        return prediction_in((await self.ask(**attributes)).expect(200))

    async def routes(self, *, project: str) -> dict[str, dict[str, Any]]:
        """The documents that the router decides by, by model type."""
        answer = (await self.http.call("GET", "/v1/routes")).expect(200)
        return {
            route["model_type"]: route["document"]
            for route in answer["routes"]
            if route["document"]["project"] == project
        }


def prediction_in(document: Mapping[str, Any]) -> Prediction:
    """The prediction in the body of an answer."""
    outputs = {tensor["name"]: tensor["data"] for tensor in document["outputs"]}
    return Prediction(
        model=document["model_name"],
        number=int(document["model_version"]),
        answered_by=str(_first(outputs[ANSWERED_BY])),
        version_read=int(_first(outputs[ENTITY_VERSION])),
        receipt=document["parameters"],
    )


def _first(data: Any) -> Any:
    return _first(data[0]) if isinstance(data, list) else data
