"""How routing settings change."""

import pytest
from modelyard_registry.routes.domain import RouteSettings
from modelyard_registry.routes.settings_rules import (
    FeatureSourceInvalidError,
    KillSwitchNotFoundError,
    refuse_unless_template,
    with_feature_source,
    with_kill_switch,
    without_feature_source,
    without_kill_switch,
)

TEMPLATE = "https://loans.example/{tenant}/{entity_type}/{entity_id}"


@pytest.mark.parametrize(
    "url_template",
    [
        TEMPLATE,
        "http://127.0.0.1:8080/features?id={entity_id}",
        "https://[2001:db8::1]:8443/{entity_id}.json",
    ],
)
def test_an_http_url_with_our_placeholders_after_the_host_is_a_template(url_template: str) -> None:
    refuse_unless_template(url_template)


@pytest.mark.parametrize(
    "url_template",
    [
        "ftp://loans.example/{entity_id}",
        "loans.example/{entity_id}",
        "https:///{entity_id}",
        "https://user:secret@loans.example/{entity_id}",
        "https://{tenant}.example/{entity_id}",
        "https://loans.example/features",
        "https://loans.example/{entity_id}/{password}",
        "https://loans.example/{entity_id!r}",
        "https://loans.example/{entity_id:>10}",
        "https://loans.example/{}{entity_id}",
        "https://loans.example/{{entity_id}}",
        "https://loans.example/{entity_id",
        "https://loans.example:port/{entity_id}",
        "https://loans.example/a b/{entity_id}",
        "https://loans.example/\n{entity_id}",
    ],
)
def test_anything_else_is_refused_with_an_example_of_what_is_right(url_template: str) -> None:
    with pytest.raises(FeatureSourceInvalidError) as refusal:
        refuse_unless_template(url_template)

    assert "{entity_id}" in refusal.value.fix


def test_the_revision_of_a_feature_source_rises_with_each_change_and_never_falls_back() -> None:
    first = with_feature_source(RouteSettings(), url_template=TEMPLATE, timeout_s=1.0)
    same = with_feature_source(first, url_template=TEMPLATE, timeout_s=1.0)
    slower = with_feature_source(first, url_template=TEMPLATE, timeout_s=2.0)
    again = with_feature_source(without_feature_source(slower), url_template=TEMPLATE, timeout_s=1.0)

    sources = [each.feature_source for each in (first, same, slower, again)]
    assert [source.revision for source in sources if source is not None] == [1, 1, 2, 3]


def test_a_kill_switch_is_one_for_each_tenant_and_one_for_everyone() -> None:
    settings = with_kill_switch(RouteSettings(), tenant=None, reason="all")
    settings = with_kill_switch(settings, tenant="ca", reason="first")
    settings = with_kill_switch(settings, tenant="ca", reason="second")

    assert {(each.tenant, each.reason) for each in settings.kill_switches} == {(None, "all"), ("ca", "second")}
    left = without_kill_switch(settings, tenant="ca")
    assert [each.tenant for each in left.kill_switches] == [None]
    with pytest.raises(KillSwitchNotFoundError):
        without_kill_switch(left, tenant="ca")
