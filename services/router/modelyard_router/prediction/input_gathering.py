"""Gathers the inputs of a prediction: those of the request, then those that the feature source knows."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard_events.values import Feature, Tensor
from modelyard_routing.decision import RouteDecision

from modelyard_router.adapters.feature_source import EntityFeatures, FeatureSources
from modelyard_router.domain.features import FeatureMismatchError, merged, missing_inputs, tensors_of
from modelyard_router.prediction.inference import Inference, name_of
from modelyard_router.problems import FeatureSourceInvalidResponseError, InputsMissingError


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredInputs:
    """The tensors in hand, and the features that some of them were made from."""

    tensors: tuple[Tensor, ...] = ()
    features: EntityFeatures | None = None

    @property
    def entity_version(self) -> int | None:
        """The version of the entity that the features belong to."""
        return None if self.features is None else self.features.version


async def gather(sources: FeatureSources, inference: Inference, *, cached: EntityFeatures | None) -> GatheredInputs:
    """Return the request's inputs, with the entity's features if the source must bring some.

    `cached` are used instead of asking the source. Raises what the source raises.
    """
    source, entity = inference.decision.route.feature_source, inference.entity
    if not inference.reads_source or source is None or entity is None:
        return GatheredInputs(tensors=inference.asked.inputs)
    features = cached
    if features is None:
        features = await sources.fetch(source, entity, project=inference.receipt.project)
    try:
        fetched = tensors_of(features.features, _all_declared(inference.decision))
    except FeatureMismatchError as error:
        raise FeatureSourceInvalidResponseError(f"The feature source does not fit the model: {error}.") from error
    return GatheredInputs(tensors=merged(inference.asked.inputs, fetched), features=features)


def refuse_missing(inference: Inference, gathered: GatheredInputs) -> None:
    """Raise InputsMissingError when the decided version declares inputs that are not in hand."""
    if missing := missing_inputs(inference.served.endpoint.inputs, gathered.tensors):
        raise InputsMissingError(
            f"{name_of(inference.served)} needs inputs that are not there: {', '.join(missing)}.",
            missing=list(missing),
        )


def _all_declared(decision: RouteDecision) -> Sequence[Feature]:
    """What the decided version declares, and what others declare that may be asked with the same features."""
    served, others = decision.served, (decision.shadow, *reversed(decision.fallbacks))
    by_name = {feature.name: feature for other in others if other for feature in other.endpoint.inputs}
    by_name.update({feature.name: feature for feature in served.endpoint.inputs})
    return tuple(by_name.values())
