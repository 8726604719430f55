"""What every operation of the HTTP API shares: who calls, what it may send, and how a change is carried out once."""

from modelyard_registry.api.calls import NO_ETAG, Call, Caller, Services, Token, address_of, are_acceptable, call_of
from modelyard_registry.api.changes import Answer, carry_out, json_response
from modelyard_registry.api.error_answers import problems
from modelyard_registry.api.inputs import DEFAULT_PROJECT, READING, ModelName, Project, Reason, Request
from modelyard_registry.api.outbound_urls import OutboundUrlRefusedError, refuse_unless_outbound
from modelyard_registry.api.refused import Subject
from modelyard_registry.api.requirements import (
    Requirement,
    authenticate_caller,
    refuse_unknown,
    requires,
    requires_everywhere,
    requires_somewhere,
)

__all__ = [
    "DEFAULT_PROJECT",
    "NO_ETAG",
    "READING",
    "Answer",
    "Call",
    "Caller",
    "ModelName",
    "OutboundUrlRefusedError",
    "Project",
    "Reason",
    "Request",
    "Requirement",
    "Services",
    "Subject",
    "Token",
    "address_of",
    "are_acceptable",
    "authenticate_caller",
    "call_of",
    "carry_out",
    "json_response",
    "problems",
    "refuse_unknown",
    "refuse_unless_outbound",
    "requires",
    "requires_everywhere",
    "requires_somewhere",
]
