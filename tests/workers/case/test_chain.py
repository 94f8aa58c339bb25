"""A case's record cannot be changed unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.case.chain import broken_at, link


def chained(texts: list[str]) -> list[tuple[int, str, str]]:
    entries: list[tuple[int, str, str]] = []
    before = ""
    for seq, text in enumerate(texts, start=1):
        before = link(before, text)
        entries.append((seq, text, before))
    return entries


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8))
def test_an_untouched_record_holds(texts: list[str]) -> None:
    entries = chained(texts)
    assert broken_at(entries, entries[-1][2]) is None


@pytest.mark.parametrize(
    ("touch", "at"),
    [
        (lambda e: [e[0], (2, "another", e[1][2]), *e[2:]], 2),
        (lambda e: [e[0], (2, "another", link(e[0][2], "another")), *e[2:]], 3),
        (lambda e: [e[0], *e[2:]], 2),
        (lambda e: [e[0], *((seq - 1, data, chain) for seq, data, chain in e[2:])], 2),
        (lambda e: e[:-1], 4),
        (lambda e: [*e, (5, "more", link(e[-1][2], "more"))], 6),
        (lambda e: [e[1], e[0], *e[2:]], 1),
    ],
    ids=["changed", "changed with its digest", "removed", "removed and renumbered", "cut off", "added", "swapped"],
)
def test_whatever_is_touched_is_found_at_its_place(touch, at) -> None:  # type: ignore[no-untyped-def]
    entries = chained(["a", "b", "c", "d"])
    assert broken_at(touch(entries), entries[-1][2]) == at
