"""What the hot operations take and answer, for the OpenAPI document: FastAPI never sees them otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from modelyard_events.inferences import RequestedOutput
from modelyard_events.values import Digest, Feature, Protocol, Slug, Stage, Tensor
from modelyard_routing.decision import Reason
from modelyard_runtime.http.openapi_documents import describe_properties, words_of
from modelyard_runtime.problems import MEDIA_TYPE, ProblemDocument
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from modelyard_router.domain.prediction_outcome import BypassReason

ROUTE_PATH = "/v1/route"
PREDICT_PATH = "/v1/predict"

AliasName = Annotated[str, Field(pattern=r"^@?[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
WORDS = Path(__file__).parent / "openapi_words.txt"
"""What each property means, a line for each name."""

Identifier = Annotated[str, Field(min_length=1, max_length=200)]


class RoutingAttributes(BaseModel):
    """What a caller says about itself. `model_type` or `model` names the route."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    project: Slug = "default"
    model_type: Slug | None = None
    model: Annotated[Slug | None, Field(description="Needed with `version` or `alias`.")] = None
    tenant: Annotated[Slug | None, Field(description="Whose request it is: your customer.")] = None
    industry: Slug | None = None
    unit_id: Annotated[
        Identifier | None, Field(description="Who is assigned to a variant. Without it: control, left out of analysis.")
    ] = None
    unit_type: Slug = "user"
    entity_type: Slug | None = None
    entity_id: Annotated[
        Identifier | None, Field(description="What the prediction is about; its change purges it.")
    ] = None
    version: Annotated[
        int | str | None, Field(description="A number, or a semantic version, of `model`.", examples=[3, "1.2.0"])
    ] = None
    alias: Annotated[AliasName | None, Field(description="An alias of `model`, with or without its `@`.")] = None


class RoutedEndpoint(BaseModel):
    """Where the version answers."""

    url: str
    protocol: Protocol
    inputs: list[Feature]
    timeout_s: float


class PassedOverVersion(BaseModel):
    """A version that would have answered, and why it did not."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, Field(description="`model/number`", examples=["risk-debt/3"])]
    why: str


class RouteReceipt(BaseModel):
    """Why this version answers. Absent when it does not apply: null."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    reason: Reason
    project: str
    model_type: str
    route_revision: int
    generation: int
    version_id: str
    cache_identity: Annotated[str, Field(description="What cached answers depend on besides their inputs.")]
    experiment: str | None
    experiment_id: str | None
    variant: Annotated[str | None, Field(description="Null also for an experiment's control without a unit.")]
    propensity: Annotated[
        float | None, Field(description="The chance of a unit in the experiment to get this variant.")
    ]
    fallback_version_id: str | None
    shadow_version_id: Annotated[str | None, Field(description="The version that gets a copy of this request.")]
    unit_hash: Annotated[str | None, Field(description="Stands for the unit in facts.")]
    passed_over: Annotated[
        list[PassedOverVersion], Field(description="Versions that come before the served one, and do not answer.")
    ]


class RouteAnswer(BaseModel):
    """The version that serves the request, its endpoint, and why."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    number: int
    semver: str
    version_id: str
    digest: Digest
    stage: Stage
    endpoint: RoutedEndpoint
    receipt: RouteReceipt


class PredictionBody(BaseModel):
    """A request of the Open Inference Protocol v2, with the routing attributes as its parameters."""

    model_config = ConfigDict(extra="forbid")

    id: Identifier | None = None
    inputs: Annotated[
        list[Tensor], Field(description="What is left out is read from the feature source of the model type.")
    ] = []
    outputs: Annotated[
        list[RequestedOutput], Field(description="The outputs that are wanted, in this order. None named: all.")
    ] = []
    parameters: RoutingAttributes


class PredictionReceipt(RouteReceipt):
    """Why and how the answer came to be."""

    cache: Annotated[str, Field(description="`hit`, `miss` or `bypass`.")]
    cache_reason: Annotated[
        BypassReason | None,
        Field(description="Why the cache had no part in it: an entity needs `tenant`, `entity_type` and `entity_id`."),
    ]
    outcome: Annotated[str, Field(description="`served`, or `fell_back` to another version than the decided one.")]
    fell_back_from: Annotated[
        str | None, Field(description="The decided version, `model/number`, whose endpoint failed; else null.")
    ]
    fell_back_to: Annotated[
        str | None,
        Field(
            description="The version that answered in its place, `model/number`: the champion before it, or the control"
            " of the experiment, or else the global champion."
        ),
    ]
    version_matched: Annotated[bool, Field(description="False: the endpoint says that another version answered.")]
    inference_id: str


class PredictionAnswer(BaseModel):
    """An answer of the Open Inference Protocol v2, with the receipt as its parameters."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_name: str
    model_version: str
    id: str
    outputs: list[Tensor]
    parameters: PredictionReceipt


class RouteInForce(BaseModel):
    """One route as the router has it."""

    model_config = ConfigDict(protected_namespaces=())

    project: str
    model_type: str
    generation: int
    sequence: int
    revision: int
    skipped: Annotated[list[str], Field(description="Parts of the document that could not be used, and why.")]
    document: dict[str, Any]


class RoutesInForce(BaseModel):
    """The router's whole state, and how long ago Kafka last confirmed that it is complete."""

    age_s: float | None
    routes: list[RouteInForce]


_ATTRIBUTES = {"model_type": "risk_scoring", "tenant": "acme", "industry": "debt_consolidation", "unit_id": "user-42"}
_RECEIPT = {
    "reason": "industry_champion",
    "project": "default",
    "model_type": "risk_scoring",
    "route_revision": 7,
    "generation": 1,
    "version_id": "0199c1d2-7c1e-7d4e-9a51-3f0c7a52c5d1",
    "cache_identity": f"default/0199c1d2-7c1e-7d4e-9a51-3f0c7a52c5d1/sha256:{'ab' * 32}/1",
    "experiment": None,
    "experiment_id": None,
    "variant": None,
    "propensity": None,
    "fallback_version_id": "0199c1d2-0000-7d4e-9a51-3f0c7a52c5d1",
    "shadow_version_id": "0199c1d2-0000-7d4e-9a51-3f0c7a52c5d1",
    "unit_hash": "9f86d081884c7d659a2feaa0c55ad015",
    "passed_over": [{"version": "risk-acme/2", "why": "is champion, but quarantined"}],
}
_TENSOR = {"name": "annual_income", "datatype": "FP32", "shape": [1, 1], "data": [52000.0]}
_ROUTED = {
    "model": "risk-debt",
    "number": 3,
    "semver": "1.2.0",
    "version_id": _RECEIPT["version_id"],
    "digest": f"sha256:{'ab' * 32}",
    "stage": "production",
    "endpoint": {
        "url": "https://models.example.org/v2/models/risk-debt/versions/3/infer",
        "protocol": "open-inference-v2",
        "inputs": [{"name": "annual_income", "datatype": "FP32"}],
        "timeout_s": 2.0,
    },
    "receipt": _RECEIPT,
}
_ASKED = {"inputs": [_TENSOR], "parameters": {**_ATTRIBUTES, "entity_type": "loan", "entity_id": "loan-7"}}
_PREDICTED = {
    "model_name": "risk-debt",
    "model_version": "3",
    "id": "0199c1d3-0000-7000-8000-000000000000",
    "outputs": [{"name": "interest_rate", "datatype": "FP32", "shape": [1, 1], "data": [11.4]}],
    "parameters": {
        **_RECEIPT,
        "cache": "miss",
        "cache_reason": None,
        "outcome": "served",
        "fell_back_from": None,
        "fell_back_to": None,
        "version_matched": True,
        "inference_id": "0199c1d3-0000-7000-8000-000000000000",
    },
}
_STATUSES = {
    400: "The body is not JSON, or `content-length` is no number",
    401: "The bearer token is missing, unknown, expired or revoked",
    403: "The caller may not ask for predictions in this project",
    404: "No route, alias or entity of that name",
    409: "The version is quarantined or may not be routed to",
    413: "The body is too large",
    415: "The body is compressed",
    422: "The request is malformed; the problem names what to mend",
    503: "The routes or the issued tokens are not known yet, or the version has no endpoint",
}
_PREDICT_STATUSES = {
    **_STATUSES,
    502: "The endpoint or the feature source failed, and so did the fallback, if there is one",
    504: "The endpoint or the feature source did not answer in time, and there was no fallback",
}


def install_openapi(app: FastAPI) -> None:
    """Make the OpenAPI document of `app` tell of the hot operations as well."""
    written: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not written:
            document = _document(app)
            describe_properties(document, words_of(WORDS.read_text()))
            written.update(document)
        return written

    # FastAPI's documented way to extend its document is to replace this method.
    replaced: Callable[[], dict[str, Any]] = openapi
    app.__dict__["openapi"] = replaced


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    models = (RoutingAttributes, RouteAnswer, PredictionBody, PredictionAnswer, ProblemDocument)
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas["$defs"])
    components.setdefault("securitySchemes", {})["HTTPBearer"] = {"type": "http", "scheme": "bearer"}
    document["paths"][ROUTE_PATH] = _post(
        "route",
        summary="Which version and endpoint serve this request, and why",
        body=("RoutingAttributes", _ATTRIBUTES),
        answer=("RouteAnswer", _ROUTED),
        statuses=_STATUSES,
    )
    document["paths"][PREDICT_PATH] = _post(
        "predict",
        summary="Predict by the version that serves this request (Open Inference Protocol v2)",
        body=("PredictionBody", _ASKED),
        answer=("PredictionAnswer", _PREDICTED),
        statuses=_PREDICT_STATUSES,
    )
    return document


def _post(
    operation: str,
    *,
    summary: str,
    body: tuple[str, object],
    answer: tuple[str, object],
    statuses: dict[int, str],
) -> dict[str, Any]:
    problems = {
        str(status): {"description": text, "content": {MEDIA_TYPE: {"schema": _reference("ProblemDocument")}}}
        for status, text in statuses.items()
    }
    age = {"description": "Seconds since the routes were known to be complete.", "schema": {"type": "integer"}}
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "tags": ["serving"],
            "security": [{"HTTPBearer": []}],
            "requestBody": {
                "required": True,
                "description": "JSON, whatever `content-type` says, for no other kind is taken. Not compressed.",
                "content": {"application/json": {"schema": _reference(body[0]), "example": body[1]}},
            },
            "responses": {
                "200": {
                    "description": "The answer",
                    "headers": {"x-modelyard-route-age": age},
                    "content": {"application/json": {"schema": _reference(answer[0]), "example": answer[1]}},
                },
                **problems,
            },
        }
    }


def _reference(model: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model}"}
