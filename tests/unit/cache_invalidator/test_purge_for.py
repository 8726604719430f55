"""Whose versions are compared with those that feature sources answer."""

import pytest
from modelyard_cache_invalidator.handlers import purge_for
from modelyard_events.entities import EntityChanged
from modelyard_prediction_cache import Entity, Purge

LOAN = Entity(tenant="CA", entity_type="loan", entity_id="1")
CHANGE = EntityChanged(tenant="CA", entity_type="loan", entity_id="1", version=7)


@pytest.mark.parametrize(
    ("version_sources", "counted_as"),
    [({}, ""), ({"loan": "/loan-book"}, ""), ({"loan": "/crm"}, "/loan-book"), ({"car": "/crm"}, "")],
)
def test_versions_count_as_the_entitys_own_unless_another_source_owns_them(
    version_sources: dict[str, str], counted_as: str
) -> None:
    purge = purge_for(CHANGE, source="/loan-book", version_sources=version_sources)

    assert purge == Purge(entity=LOAN, version=7, source=counted_as)
