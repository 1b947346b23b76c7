"""Records are found in every span that they reach into, and in no other."""

from hypothesis import given
from hypothesis import strategies as st

from readcount.counting.overlaps import Span, count_overlaps


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.integers(0, 30))
    return draw(st.sampled_from("ab")), start, start + draw(st.integers(1, 12))


@given(st.lists(spans(), max_size=40), st.lists(spans(), max_size=10))
def test_a_record_counts_in_each_span_with_which_it_shares_a_position(
    records: list[Span], wanted: list[Span]
) -> None:
    wanted = [*wanted, ("a", 0, 1), ("b", 0, 1)]
    assert count_overlaps(records, wanted) == [
        sum(
            record[0] == contig and bool({*range(*record[1:])} & {*range(start, end)})
            for record in records
        )
        for contig, start, end in wanted
    ]
