"""Records and progress on their way to Kafka and back."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import PermanentError
from bus.log.kafka_records import METADATA_BYTES, metadata_of, standing_of, stored, wire
from bus.log.port import Record, StoredRecord
from bus.log.progress import Standing

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _read_back(record: Record) -> StoredRecord:
    key, value, headers = wire(record)
    message = SimpleNamespace(partition=3, offset=7, timestamp=1_700_000_000_123, key=key, value=value, headers=headers)
    return stored(message, record.topic, 5)


@given(
    key=_texts,
    value=st.binary(max_size=50),
    record_id=_texts,
    headers=st.dictionaries(_texts.filter(lambda name: name != "record-id"), _texts, max_size=4),
    enveloped=st.booleans(),
)
def test_a_record_comes_back_as_it_was(
    key: str, value: bytes, record_id: str, headers: dict[str, str], enveloped: bool
) -> None:
    if enveloped:
        headers = {**headers, "ce_id": record_id}
    record = Record(topic="t", key=key, value=value, id=record_id, headers=headers)
    back = _read_back(record)
    assert (back.topic, back.partition, back.offset, back.generation) == ("t", 3, 7, 5)
    assert (back.key, back.value, back.id, back.headers) == (key, value, record_id, headers)
    assert back.at == 1_700_000_000_123_000


def test_the_id_in_the_envelope_is_not_sent_twice() -> None:
    _, _, headers = wire(Record(topic="t", key="k", value=b"", id="c-1", headers={"ce_id": "c-1"}))
    assert headers == [("ce_id", b"c-1")]


@pytest.mark.parametrize(
    "record",
    [
        Record(topic="t", key="\ud800", value=b"", id="1"),
        Record(topic="t", key="k", value=b"", id="\ud800"),
        Record(topic="t", key="k", value=b"", id="1", headers={"a": "\ud800"}),
        Record(topic="t", key="k", value="text", id="1"),  # type: ignore[arg-type]
        Record(topic="t", key="k", value=b"x" * 1_048_577, id="1"),
        Record(topic="t", key="k", value=b"", id="1", headers={"a": 1}),  # type: ignore[dict-item]
    ],
)
def test_what_no_log_could_carry_is_refused_before_anything_is_sent(record: Record) -> None:
    with pytest.raises(PermanentError):
        wire(record)


def test_what_other_programs_wrote_is_read_as_far_as_it_is_text() -> None:
    message = SimpleNamespace(
        partition=0, offset=9, timestamp=1, key=None, value=None, headers=(("a", b"\xff"), ("b", None))
    )
    read = stored(message, "t", 1)
    assert (read.key, read.value, read.id, read.headers) == ("", b"", "t/0/9", {"a": "\ufffd", "b": ""})


@st.composite
def _standings(draw: st.DrawFn) -> Standing:
    unfinished = sorted(draw(st.sets(st.integers(0, 2**40), max_size=60)))
    spread = draw(st.integers(1, 400))
    start = unfinished[-1] + 1 if unfinished else 0
    unfinished += range(start, start + draw(st.integers(0, 6_000)) * spread, spread)
    return Standing((unfinished[-1] if unfinished else 0) + draw(st.integers(1, 2**30)), tuple(unfinished))


@given(_standings())
@settings(max_examples=40)
def test_progress_fits_beside_a_commit_and_never_calls_finished_what_is_not(standing: Standing) -> None:
    offset, text = metadata_of(standing)
    assert len(text.encode()) <= METADATA_BYTES
    back = standing_of(offset, text)
    assert back.next_offset == standing.next_offset
    assert back.high <= standing.high
    # Below what is told, exactly the same is unfinished; above it everything is.
    assert back.unfinished == tuple(each for each in standing.unfinished if each < back.high)
    assert back == standing or len(back.unfinished) >= 150


@pytest.mark.parametrize("metadata", [None, "", "hello", "AAAA", "wQ==", "{}", "kP8="])
def test_metadata_of_other_programs_says_nothing(metadata: str | None) -> None:
    assert standing_of(42, metadata) == Standing(42)
    assert standing_of(-1, metadata) == Standing(0)
