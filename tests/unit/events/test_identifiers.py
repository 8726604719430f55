"""Two spellings of one identifier are one identifier."""

from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.identifiers import normalised_id


def test_both_unicode_forms_of_a_name_are_one_identifier() -> None:
    assert normalised_id("Mu\u0308ller") == normalised_id("M\u00fcller") == "M\u00fcller"


@given(st.text(max_size=50))
def test_normalising_again_changes_nothing_and_takes_at_most_three_times_the_bytes(text: str) -> None:
    once = normalised_id(text)

    assert normalised_id(once) == once
    assert len(once.encode(errors="surrogatepass")) <= 3 * len(text.encode(errors="surrogatepass"))
