"""The vocabulary of the audit log: what an entry can say was done."""

from enum import StrEnum
from typing import NewType, Self

RefusedAction = NewType("RefusedAction", str)
"""The action of an entry about something that was refused: it ends in `.refused`."""


class AuditAction(StrEnum):
    """What was done; `meaning` says it in a sentence. Values are on record for good and never change."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """A member with its sentence."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    PROJECT_CREATED = "project.created", "A project was created."
    ROLES_GRANTED = "roles.granted", "The roles of a subject in a project were set."
    API_TOKEN_ISSUED = "api_token.issued", "An API token was issued."
    API_TOKEN_REVOKED = "api_token.revoked", "An API token was revoked."
    SIGNING_KEY_REGISTERED = "signing_key.registered", "A public key that proves the sender of events was registered."
    SIGNING_KEY_REVOKED = "signing_key.revoked", "A public key that proves the sender of events was revoked."

    ARTIFACT_UPLOAD = (
        "artifact.upload",
        "An upload in parts was begun, completed or aborted; recorded only when it was refused.",
    )
    ARTIFACT_UPLOADED = "artifact.uploaded", "An artifact was uploaded to a project."

    REGISTERED_MODEL_CREATED = "registered_model.created", "A registered model was created."
    REGISTERED_MODEL_UPDATED = "registered_model.updated", "Fields of a registered model changed."
    REGISTERED_MODEL_RENAMED = "registered_model.renamed", "A registered model got another name."
    REGISTERED_MODEL_DELETED = "registered_model.deleted", "A registered model was deleted; it can be restored."
    REGISTERED_MODEL_RESTORED = "registered_model.restored", "A deleted registered model was restored."

    MODEL_VERSION_REGISTERED = "model_version.registered", "A model version was registered."
    MODEL_VERSION_UPDATED = "model_version.updated", "Fields of a model version changed."
    MODEL_VERSION_BUILD_STATUS_CHANGED = (
        "model_version.build_status_changed",
        "The build status of a model version changed.",
    )
    MODEL_VERSION_REVIEW_STATUS_CHANGED = (
        "model_version.review_status_changed",
        "The review status of a model version changed.",
    )
    MODEL_VERSION_CHECKED = "model_version.checked", "A check of a model version was recorded."
    MODEL_VERSION_ARTIFACT_ATTACHED = (
        "model_version.artifact_attached",
        "A further artifact was attached to a model version.",
    )
    MODEL_VERSION_TRANSITIONED = "model_version.transitioned", "A model version moved from one stage to another."
    MODEL_VERSION_ROLLED_BACK = (
        "model_version.rolled_back",
        "A champion was rolled back: an earlier one took its place.",
    )
    MODEL_VERSION_QUARANTINED = "model_version.quarantined", "A model version was put into quarantine."
    MODEL_VERSION_RELEASED = "model_version.released", "A model version was released from quarantine."
    ALIAS_MOVED = "alias.moved", "An alias was set, moved to another version or removed."
    DEPLOYMENT_RECORDED = "deployment.recorded", "The endpoint of a model version in an environment was recorded."

    POLICY_CHANGED = "policy.changed", "The policy of a project or of a registered model changed."
    TRANSITION_REQUEST_CREATED = "transition_request.created", "The approval of others was asked for."
    APPROVAL_GIVEN = "approval.given", "An approver agreed to a transition request."
    TRANSITION_REQUEST_REJECTED = "transition_request.rejected", "An approver rejected a transition request."
    TRANSITION_REQUEST_WITHDRAWN = "transition_request.withdrawn", "The requester withdrew a transition request."
    TRANSITION_REQUEST_EXPIRED = "transition_request.expired", "A transition request reached its deadline undecided."
    TRANSITION_REQUEST_APPLIED = "transition_request.applied", "What a transition request asked for was carried out."

    EXPERIMENT_STARTED = "experiment.started", "An experiment was started."
    EXPERIMENT_STOPPED = "experiment.stopped", "An experiment was stopped."
    ROUTE_POLICY_SET = "route_policy.set", "The policy of a route was set."
    ROUTE_FEATURE_SOURCE_SET = "route_feature_source.set", "The feature source of a route was set or removed."
    ROUTE_SHADOW_SAMPLE_SET = "route_shadow_sample.set", "The share of requests that go to the shadow as well was set."
    ROUTE_KILL_SWITCH_SET = "route_kill_switch.set", "A kill switch was set: all traffic goes to the champion."
    ROUTE_KILL_SWITCH_CLEARED = "route_kill_switch.cleared", "A kill switch was cleared."

    ENTITY_PURGED = "entity.purged", "Somebody purged an entity's cached predictions by hand."


def refused(action: AuditAction) -> RefusedAction:
    """The action of an entry about a change that the present state did not allow."""
    return RefusedAction(f"{action}.refused")


def permission_refused(permission: object) -> RefusedAction:
    """The action of an entry about a caller who lacks `permission`, such as `models:write`."""
    return RefusedAction(f"{str(permission).replace(':', '.')}.refused")
