"""No sequence of decisions about a transition request applies what not enough others agreed to."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from modelyard_registry.approvals.bound import refuse_stale
from modelyard_registry.approvals.domain import (
    OPEN,
    Decision,
    DecisionKind,
    RequestState,
    decide_application,
    decide_approval,
    decide_expiry,
    decide_rejection,
    decide_withdrawal,
)
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.problems import ConflictError

from tests.unit.registry.transition_requests import AS_ASKED, START, a_request, who

PEOPLE = st.sampled_from(["ann", "bob", "cem", "dee", "eve"])
AFTERWARDS = {
    RequestState.PENDING: set(RequestState) - {RequestState.APPLIED},
    RequestState.APPROVED: set(RequestState) - {RequestState.PENDING},
}
"""Where a request can go from where it stands; from anywhere else it goes nowhere."""


class OneRequest(RuleBasedStateMachine):
    """People decide about one request, change roles and the version, and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.request = a_request()
        self.approvers = {"ann", "bob", "cem", "dee"}
        self.now = START
        self.bound = AS_ASKED

    @initialize(needed=st.integers(1, 3))
    def ask(self, needed: int) -> None:
        self.request = a_request(approvals_needed=needed)

    def roles(self, actor: str) -> frozenset[Role]:
        return frozenset({Role.APPROVER}) if actor in self.approvers else frozenset({Role.VIEWER})

    @property
    def lapsed(self) -> set[str]:
        return {each.actor for each in self.request.approvals} - self.approvers

    def go_to(self, state: RequestState, *decisions: Decision) -> None:
        before = self.request.state
        assert self.now < self.request.expires_at or state is RequestState.EXPIRED
        assert state == before or state in AFTERWARDS[before]
        self.request = replace(self.request, state=state, decisions=(*self.request.decisions, *decisions))

    def decision(self, actor: str, kind: DecisionKind) -> Decision:
        return Decision(actor=actor, kind=kind, comment=None, decided_at=self.now)

    @rule(actor=PEOPLE)
    def approve(self, actor: str) -> None:
        earlier = {each.actor for each in self.request.decisions}
        try:
            state = decide_approval(
                self.request, who=who(actor), roles=self.roles(actor), lapsed=self.lapsed, now=self.now
            )
            refuse_stale(self.request.bound, self.bound)
        except ConflictError:
            return
        assert actor != "ann"
        assert actor in self.approvers - earlier
        self.go_to(state, self.decision(actor, DecisionKind.APPROVAL))

    @rule(actor=PEOPLE)
    def reject(self, actor: str) -> None:
        try:
            state = decide_rejection(self.request, who=who(actor), roles=self.roles(actor), now=self.now)
        except ConflictError:
            return
        self.go_to(state, self.decision(actor, DecisionKind.REJECTION))

    @rule(actor=PEOPLE)
    def withdraw(self, actor: str) -> None:
        try:
            state = decide_withdrawal(self.request, actor=actor, now=self.now)
        except ConflictError:
            return
        assert actor == "ann"
        self.go_to(state)

    @rule()
    def apply(self) -> None:
        try:
            state = decide_application(self.request, lapsed=self.lapsed, now=self.now)
            refuse_stale(self.request.bound, self.bound)
        except ConflictError:
            return
        agreed = {each.actor for each in self.request.approvals} & self.approvers
        assert len(agreed - {"ann"}) >= self.request.approvals_needed
        assert self.bound == AS_ASKED
        self.go_to(state)

    @rule(actor=PEOPLE)
    def change_role(self, actor: str) -> None:
        self.approvers ^= {actor}

    @rule(revision=st.integers(1, 2))
    def move_the_endpoint(self, revision: int) -> None:
        self.bound = replace(self.bound, endpoint_revision=revision)

    @rule(hours=st.integers(1, 4))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @precondition(lambda self: self.request.state in OPEN)
    @rule()
    def expire(self) -> None:
        if decide_expiry(self.request, now=self.now):
            assert self.now >= self.request.expires_at
            self.go_to(RequestState.EXPIRED)

    @invariant()
    def what_is_open_is_open_before_its_time_is_over_only(self) -> None:
        if self.now >= self.request.expires_at:
            assert self.request.state_at(self.now) not in OPEN

    @invariant()
    def nobody_has_decided_twice(self) -> None:
        actors = [each.actor for each in self.request.decisions]
        assert len(actors) == len(set(actors))


TestOneRequest = OneRequest.TestCase
