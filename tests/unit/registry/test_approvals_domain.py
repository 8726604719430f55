"""Who may decide about a transition request, when it is agreed to, and when its time is over."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from modelyard_events.values import Endpoint, Protocol
from modelyard_registry.approvals.domain import (
    AlreadyDecidedError,
    ApprovalsMissingError,
    ApproverRoleMissingError,
    NotRequesterError,
    ProposedDeployment,
    RequestClosedError,
    RequestState,
    SelfApprovalError,
    TransitionRequest,
    decide_application,
    decide_approval,
    decide_expiry,
    decide_rejection,
    decide_withdrawal,
    is_approver,
)
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Identity

from tests.unit.registry.transition_requests import (
    EXPIRES_AT,
    ID,
    START,
    a_rejection,
    a_request,
    an_approval,
    who,
)

JUST_BEFORE = EXPIRES_AT - timedelta(microseconds=1)
APPROVER = frozenset({Role.APPROVER})
Decide = Callable[[TransitionRequest, Identity], RequestState]
CLOSED = [RequestState.REJECTED, RequestState.WITHDRAWN, RequestState.EXPIRED, RequestState.APPLIED]


def approve(request: TransitionRequest, identity: Identity, *, lapsed: frozenset[str] = frozenset()) -> RequestState:
    return decide_approval(request, who=identity, roles=APPROVER, lapsed=lapsed, now=START)


def reject(request: TransitionRequest, identity: Identity) -> RequestState:
    return decide_rejection(request, who=identity, roles=APPROVER, now=START)


@pytest.mark.parametrize("state", [RequestState.PENDING, RequestState.APPROVED])
def test_an_open_request_is_expired_from_the_moment_of_its_expiry_on(state: RequestState) -> None:
    request = a_request(state=state)

    assert request.state_at(JUST_BEFORE) is state
    assert request.state_at(EXPIRES_AT) is RequestState.EXPIRED
    assert not decide_expiry(request, now=JUST_BEFORE)
    assert decide_expiry(request, now=EXPIRES_AT)


@pytest.mark.parametrize("state", CLOSED)
def test_a_request_that_has_ended_does_not_expire(state: RequestState) -> None:
    request = a_request(state=state)

    assert request.state_at(EXPIRES_AT) is state
    assert not decide_expiry(request, now=EXPIRES_AT)


@pytest.mark.parametrize("state", CLOSED)
def test_nobody_decides_about_a_request_that_has_ended(state: RequestState) -> None:
    request = a_request(state=state, decisions=(an_approval("bob"),))

    with pytest.raises(RequestClosedError, match=f"The request is {state}"):
        approve(request, who("cem"))
    with pytest.raises(RequestClosedError):
        reject(request, who("cem"))
    with pytest.raises(RequestClosedError):
        decide_withdrawal(request, actor="ann", now=START)
    with pytest.raises(RequestClosedError):
        decide_application(request, lapsed=(), now=START)


def test_the_last_approval_that_is_needed_makes_it_approved() -> None:
    request = a_request(approvals_needed=2)
    agreed_once = a_request(approvals_needed=2, decisions=(an_approval("bob"),))

    assert approve(request, who("bob")) is RequestState.PENDING
    assert approve(agreed_once, who("cem")) is RequestState.APPROVED


def test_one_approval_is_enough_where_one_is_needed() -> None:
    assert approve(a_request(), who("bob")) is RequestState.APPROVED


def test_a_further_approval_leaves_an_approved_request_approved() -> None:
    request = a_request(state=RequestState.APPROVED, decisions=(an_approval("bob"),))

    assert approve(request, who("cem")) is RequestState.APPROVED


def test_the_approval_of_somebody_who_lost_the_role_does_not_count() -> None:
    request = a_request(approvals_needed=2, decisions=(an_approval("bob"),))

    assert approve(request, who("cem"), lapsed=frozenset({"bob"})) is RequestState.PENDING
    assert approve(request, who("cem"), lapsed=frozenset({"dee"})) is RequestState.APPROVED


def test_a_rejection_is_no_approval() -> None:
    request = a_request(approvals_needed=2, decisions=(a_rejection("bob"), an_approval("cem")))

    assert request.approvals == (an_approval("cem"),)
    with pytest.raises(ApprovalsMissingError, match="1 of 2 approvals"):
        decide_application(request, lapsed=(), now=START)


def test_one_rejection_ends_the_request() -> None:
    assert reject(a_request(approvals_needed=2, decisions=(an_approval("bob"),)), who("cem")) is RequestState.REJECTED


@pytest.mark.parametrize("decide", [approve, reject])
class TestWhoMayDecide:
    """Of approvals and rejections alike."""

    def test_nobody_decides_about_a_request_of_their_own(self, decide: Decide) -> None:
        with pytest.raises(SelfApprovalError, match="ann made the request"):
            decide(a_request(), who("ann"))

    def test_nor_by_a_token_that_the_requester_gave_out(self, decide: Decide) -> None:
        with pytest.raises(SelfApprovalError, match="the token of robot was given out by ann"):
            decide(a_request(), who("robot", stands_for="ann"))

    def test_nor_does_somebody_who_gave_out_the_token_of_the_requester(self, decide: Decide) -> None:
        request = a_request(requested_by="robot", requester=who("robot", issuers=("bob",)))

        with pytest.raises(SelfApprovalError, match="one of them gave out the token of the other"):
            decide(request, who("bob"))

    def test_nobody_decides_twice(self, decide: Decide) -> None:
        request = a_request(approvals_needed=2, decisions=(an_approval("dee"), an_approval("bob")))

        with pytest.raises(AlreadyDecidedError, match="bob has decided about this request already"):
            decide(request, who("bob"))

    def test_nor_under_another_name(self, decide: Decide) -> None:
        request = a_request(
            approvals_needed=2, decisions=(an_approval("robot", decider=who("robot", stands_for="bob")),)
        )

        with pytest.raises(AlreadyDecidedError, match="bob and robot, who has decided already, may be one person"):
            decide(request, who("bob"))

    def test_only_somebody_with_the_role_decides(self, decide: Decide) -> None:
        with pytest.raises(ApproverRoleMissingError, match="bob has not the role admin"):
            decide(a_request(role=Role.ADMIN), who("bob"))


def test_an_admin_may_decide_what_any_role_may() -> None:
    assert is_approver({Role.ADMIN}, Role.APPROVER)
    assert is_approver({Role.APPROVER, Role.VIEWER}, Role.APPROVER)
    assert not is_approver({Role.VIEWER}, Role.APPROVER)
    assert not is_approver({Role.APPROVER}, Role.ADMIN)


def test_only_who_asked_withdraws() -> None:
    assert decide_withdrawal(a_request(), actor="ann", now=START) is RequestState.WITHDRAWN
    with pytest.raises(NotRequesterError, match="made by ann"):
        decide_withdrawal(a_request(), actor="bob", now=START)


def test_what_just_enough_people_agreed_to_may_be_applied() -> None:
    request = a_request(approvals_needed=2, decisions=(an_approval("bob"), an_approval("cem")))

    assert decide_application(request, lapsed=(), now=START) is RequestState.APPLIED


def test_what_lapsed_approvers_agreed_to_may_not_be_applied() -> None:
    request = a_request(approvals_needed=2, decisions=(an_approval("bob"), an_approval("cem")))

    with pytest.raises(ApprovalsMissingError) as refused:
        decide_application(request, lapsed=("cem",), now=START)

    assert refused.value.extra == {"approvers": ["bob"], "lapsed": ["cem"]}


def test_a_decision_says_who_stood_behind_its_actor() -> None:
    assert an_approval("bob").who == who("bob")
    assert an_approval("robot", decider=who("robot", stands_for="bob")).who.stands_for == "bob"


def test_a_request_says_who_stood_behind_who_asked() -> None:
    assert a_request().asked_by == who("ann")
    assert a_request(requester=who("ann", stands_for="eve")).asked_by.stands_for == "eve"


def test_a_request_is_audited_under_its_version() -> None:
    assert a_request().subject == f"registered-models/risk/versions/1/transition-requests/{ID}"


def test_a_proposed_deployment_is_json() -> None:
    endpoint = Endpoint(url="http://127.0.0.1:9/infer", protocol=Protocol.OPEN_INFERENCE_V2)

    document = ProposedDeployment(endpoint=endpoint, health="healthy").document()

    assert document["health"] == "healthy"
    assert document["endpoint"]["url"] == "http://127.0.0.1:9/infer"
