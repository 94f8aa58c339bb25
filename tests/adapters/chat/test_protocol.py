"""Frames: what is one, what is none, and that nothing breaks the decoder."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.protocol import (
    Ack,
    Drain,
    Event,
    Hello,
    MalformedFrame,
    Nack,
    Send,
    Sent,
    cursor_of,
    decode_client,
    decode_server,
    encode_frame,
    sequence_of,
)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "null",
        "[]",
        "{}",
        "hello",
        '{"t":"hello"}',
        '{"t":"welcome","session":"s","resumed":true}',
        '{"t":"nobody"}',
        '{"t":7}',
        '{"t":"send","cid":1,"text":"a"}',
        '{"t":"send","cid":"1","text":null}',
        '{"t":"send","cid":"1","text":"\\ud800"}',
        '{"t":"ack","cursor":["1-1"]}',
        b"\xff\xfe\x00",
        '{"t":"send","cid":"1","text":"a","extra":' + "[" * 20_000 + "]" * 20_000 + "}",
        "[" * 60_000,
        "\ud800",
    ],
)
def test_what_is_no_client_frame_is_malformed_and_nothing_else(data: str | bytes) -> None:
    with pytest.raises(MalformedFrame) as caught:
        decode_client(data)
    assert str(caught.value) == "", "nothing of the input may travel on in the error"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_any_bytes_are_a_frame_or_malformed(data: str | bytes) -> None:
    for decode in (decode_client, decode_server):
        try:
            decode(data)
        except MalformedFrame:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(["hello", "send", "ack", "read", "typing", "pong", "bye", "x"]),
    st.dictionaries(
        st.sampled_from(["cid", "text", "token", "cursor", "upto", "on", "v", "lang", "request"]), json_values
    ),
)
def test_any_object_with_a_tag_is_a_frame_or_malformed(tag: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(MalformedFrame):
        decode_client(json.dumps({"t": tag, **fields}))


@pytest.mark.parametrize(
    "frame",
    [Hello(token="t", cursor="1-3", lang="nb"), Send(cid="a", text="æøå ß", request="person"), Ack(cursor="1-1")],
)
def test_client_frames_come_back_as_they_went(frame: Hello | Send | Ack) -> None:
    assert decode_client(encode_frame(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Sent(cid="a", id="c-1", cursor="1-1"),
        Nack(cid="a", code="rate", final=False, retry_after_s=0.5),
        Event(cursor="1-2", id="r-1", kind="reply", data={"text": "Hei", "from": "machine"}),
        Drain(reconnect_after_ms=12),
    ],
)
def test_server_frames_come_back_as_they_went(frame: Sent | Nack | Event | Drain) -> None:
    assert decode_server(encode_frame(frame)) == frame


def test_unknown_fields_of_a_newer_client_are_ignored() -> None:
    assert decode_client('{"t":"send","cid":"1","text":"a","mood":"good"}') == Send(cid="1", text="a")


@given(st.integers(min_value=0, max_value=10**15))
def test_a_cursor_names_its_place(sequence: int) -> None:
    assert sequence_of(cursor_of(sequence)) == sequence


@pytest.mark.parametrize("cursor", ["", "1", "1-", "2-5", "1--5", "1-5x", "1-٣", "1-" + "9" * 40, " 1-5"])
def test_what_is_no_cursor_of_ours_names_no_place(cursor: str) -> None:
    assert sequence_of(cursor) is None
