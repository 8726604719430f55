"""The settings by which a service knows the registry's signature on state documents."""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from modelyard_runtime.settings import ServiceSettings
from modelyard_runtime.state.keys import StateKeyError, StateKeys

Unsigned = Literal["refuse", "allow"]


class StateReaderSettings(ServiceSettings):
    """What a service needs to know besides that reads the state topics `routes.v1` and `access.v1`.

    `state_keys` are the registry's public keys in base64, several while keys are rotated: a record that none of them
    signed is ignored. Without keys a service does not start, unless `state_unsigned` is `allow`: then it believes
    everything that is written to these topics, so only the broker's own ACLs protect it.
    """

    state_keys: tuple[str, ...] = ()
    state_unsigned: Unsigned = "refuse"

    @field_validator("state_keys")
    @classmethod
    def _refuse_what_is_no_key(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        try:
            StateKeys(keys)
        except StateKeyError as error:
            raise ValueError(str(error)) from error
        return keys

    @model_validator(mode="after")
    def _refuse_to_believe_by_accident(self) -> Self:
        if not self.state_keys and self.state_unsigned == "refuse":
            raise ValueError(
                "MODELYARD_STATE_KEYS is not set, so forged documents could not be told from the registry's: set it "
                "to what `python -m modelyard_registry.state_key show FILE` prints for the registry's key file, or set "
                "MODELYARD_STATE_UNSIGNED=allow to believe every record on routes.v1 and access.v1"
            )
        if self.state_keys and self.state_unsigned == "allow":
            raise ValueError(
                "MODELYARD_STATE_UNSIGNED=allow and MODELYARD_STATE_KEYS contradict each other: with keys, unsigned "
                "records are always ignored; remove one of the two"
            )
        return self

    @property
    def trusted_state_keys(self) -> StateKeys | None:
        """The keys whose signatures count; None when every record is believed."""
        return StateKeys(self.state_keys) if self.state_keys else None
