"""How a description changes: JSON Merge Patch (RFC 7396), and the bounds that hold after it too."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from modelyard_events.free_json import FreeJson
from modelyard_events.model_changes import ModelVersionFacts, RegisteredModelFacts
from modelyard_events.standard_metrics import is_higher_better
from modelyard_events.values import ModelCard
from modelyard_runtime.problems import InvalidRequestError, invalid_fields
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard_registry.api import Request
from modelyard_registry.models.documents import ShortText, Text

TAGS_MAX = 100

TagsPatch = Annotated[
    dict[ShortText, Text | None],
    Field(max_length=2 * TAGS_MAX, description=f"Tags to set; null removes one. {TAGS_MAX} are left at most."),
]
"""All tags that are there may be removed, and as many others set, in one change."""

Facts = TypeVar("Facts", bound=BaseModel)
Patch = TypeVar("Patch", bound=Request)


class PatchInvalidError(InvalidRequestError):
    """What the change would lead to is malformed, or beyond its bounds."""

    code = "patch-invalid"
    when = "The tags, the model card or the metadata would be malformed or too large after the change."
    fix = "Correct the field that `detail` names, or remove others with null before you add more."


class RegisteredModelPatch(Request):
    """What is to be different about a registered model; null removes, and what is left out stays.

    By another `primary_metric` or direction the improvement of every version is measured again.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"description": "Expected loss of a consumer loan.", "team": "lending", "tags": {"old": None}}]
        }
    )

    description: Text | None = None
    owner: ShortText | None = None
    team: ShortText | None = None
    primary_metric: ShortText | None = None
    higher_is_better: bool | None = None
    tags: TagsPatch | None = None

    def changed(self, before: RegisteredModelFacts) -> RegisteredModelFacts:
        """The facts after the change. Raises PatchInvalidError."""
        patch = self.model_dump(exclude_unset=True)
        if patch.get("higher_is_better", "absent") is None:
            del patch["higher_is_better"]
        if "primary_metric" in patch and "higher_is_better" not in patch:
            known = is_higher_better(self.primary_metric)
            patch["higher_is_better"] = before.higher_is_better if known is None else known
        return _validated(RegisteredModelFacts, merge_patch(before.model_dump(), patch))


class ModelVersionPatch(Request):
    """What people say about a version; null removes, and what is left out stays. Its evidence cannot change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "description": "Credit history added.",
                    "model_card": {"limitations": ["Only trained on loans of 2018."]},
                }
            ]
        }
    )

    description: Text | None = None
    tags: TagsPatch | None = None
    model_card: FreeJson | None = Field(
        default=None, description="Fields of a model card: intended_use, limitations, preprocessing, …"
    )
    custom_metadata: FreeJson | None = None

    def changed(self, before: ModelVersionFacts) -> ModelVersionFacts:
        """The facts after the change. Raises PatchInvalidError."""
        patch = self.model_dump(exclude_unset=True)
        unknown = set(self.model_card or {}) - set(ModelCard.model_fields)
        if unknown:
            raise PatchInvalidError(
                f"model_card has no field {sorted(unknown)[0][:100]!r}.",
                fix=f"Its fields are {', '.join(ModelCard.model_fields)}; anything else belongs in custom_metadata.",
            )
        return _validated(ModelVersionFacts, merge_patch(before.model_dump(mode="json"), patch))


def patch_of(kind: type[Patch], document: Mapping[str, Any]) -> Patch:
    """The patch that another API's document means. Raises InvalidRequestError when it is beyond the bounds."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False)) from error


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`target` with `patch` applied: null removes a member, an object is merged, anything else replaces."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            present = merged.get(name)
            merged[name] = merge_patch(present if isinstance(present, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _validated(kind: type[Facts], document: dict[str, Any]) -> Facts:
    try:
        facts = kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise PatchInvalidError(
            f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            fix="Correct that field, or remove others with null before you add more.",
        ) from error
    if len(document.get("tags", {})) > TAGS_MAX:
        raise PatchInvalidError(f"There would be more than {TAGS_MAX} tags.", fix="Remove some with null.")
    return facts
