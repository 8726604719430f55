"""`POST /v1/predict`: a prediction by the decided version, in the Open Inference Protocol v2."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from modelyard_events.tensors import members_of
from modelyard_runtime.access.principals import Principal

from modelyard_router.decider import refuse_unless_may_predict
from modelyard_router.domain.prediction_request import prediction_request_of
from modelyard_router.operations.json_request import json_of
from modelyard_router.prediction.inference import name_of
from modelyard_router.prediction.predictor import PredictionResult, Predictor, give_way

SMALL_BODY_BYTES = 64 * 1024
"""Reading a larger body takes longer than about a millisecond: other requests get a turn after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOperation:
    """Answers `/v1/predict`."""

    predictor: Predictor

    async def answer(self, body: bytes, caller: Principal) -> bytes:
        """Return the outputs as JSON, with the receipt as parameters. Raises ProblemError."""
        refuse_unless_may_predict(caller)
        document = json_of(body)
        if len(body) > SMALL_BODY_BYTES:
            await asyncio.sleep(0)
        asked = prediction_request_of(document)
        await give_way(asked)
        return _rendered(await self.predictor.predict(asked, caller=caller))


def _rendered(prediction: PredictionResult) -> bytes:
    inference, outcome = prediction.inference, prediction.outcome
    version = outcome.served.version
    has_fallen_back = outcome.outcome == "fell_back"
    parameters: dict[str, Any] = {
        **inference.receipt._asdict(),
        "reason": outcome.reason,
        "version_id": version.version_id,
        "cache_identity": outcome.served.cache_identity,
        "shadow_version_id": None if outcome.shadow is None else outcome.shadow.version.version_id,
        "cache": outcome.cache,
        "cache_reason": outcome.cache_reason,
        "outcome": outcome.outcome,
        "fell_back_from": name_of(inference.served) if has_fallen_back else None,
        "fell_back_to": name_of(outcome.served) if has_fallen_back else None,
        "version_matched": outcome.version_matched,
        "inference_id": inference.id,
    }
    return orjson.dumps(
        {
            "model_name": version.model,
            "model_version": str(version.number),
            "id": inference.asked.id or inference.id,
            "outputs": members_of(outcome.outputs),
            "parameters": parameters,
        }
    )
