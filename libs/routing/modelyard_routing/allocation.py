"""Decides which of two variants a unit gets, by one threshold: the treatment has the draws below it.

Raising the treatment's share only raises the threshold: units move from control to treatment and never the other way.
Lowering it again moves the same units back.
"""

from dataclasses import dataclass, field

from modelyard_routing.bucketing import BUCKETS, Domain, draw, prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of all units, drawn in one domain with one salt: `share_bp` basis points, 0 to 10,000.

    Raises ValueError when `share_bp` is no such number.
    """

    domain: Domain
    salt: str
    share_bp: int
    drawn_from: bytes = field(init=False)
    threshold: int = field(init=False)
    is_whole: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_whole", self.share_bp == BUCKETS)
        object.__setattr__(self, "drawn_from", prefix(self.domain, salt=self.salt))
        object.__setattr__(self, "threshold", threshold_of(self.share_bp))

    def takes(self, unit: bytes) -> bool:
        """Whether this `unit_key` (or other `part`) is in the share."""
        return self.is_whole or draw(self.drawn_from, unit) < self.threshold

    @property
    def propensity(self) -> float:
        """The probability that a unit is in the share."""
        return self.share_bp / BUCKETS


def traffic(*, salt: str, traffic_bp: int) -> Share:
    """Return the share of the units that take part in an experiment."""
    return Share(domain=Domain.EXPOSE, salt=salt, share_bp=traffic_bp)


def treatment(*, salt: str, share_bp: int) -> Share:
    """Return the share, of the units that take part, that gets the treatment; the others get the control."""
    return Share(domain=Domain.ARM, salt=salt, share_bp=share_bp)


def shadow_sample(*, salt: str, sample_bp: int) -> Share:
    """Return the share of the requests that are copied to the shadow."""
    return Share(domain=Domain.SHADOW, salt=salt, share_bp=sample_bp)


def threshold_of(share_bp: int) -> int:
    """Return the threshold of a share: a draw is below it exactly if its bucket is below `share_bp`.

    (H * 10_000) >> 64 < s  <=>  H * 10_000 < s * 2^64  <=>  H < ceil(s * 2^64 / 10_000); one comparison
    for each request instead of a multiplication beyond 64 bits. Raises ValueError for no basis points.
    """
    if not 0 <= share_bp <= BUCKETS:
        raise ValueError(f"a share is 0 to {BUCKETS} basis points, not {share_bp}")
    return -((-share_bp << 64) // BUCKETS)
