"""Frame to contact: pure, the same for the same frame, never a traceback."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat import plugin
from adapters.chat.config import ChatConfig
from bus.adapter.contract import Raw
from bus.message import Contact, encode

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CONFIG = ChatConfig(site_key="shop.example")


def raw(data: bytes, **native: Any) -> Raw:
    return Raw(
        tenant="shop",
        account="shop.example",
        media_type="application/json",
        data=data,
        received_at=AT,
        native={"session": "s-1", "lang": "nb", **native},
    )


def contact(frame: dict[str, Any], **native: Any) -> Contact:
    return plugin.normalise(raw(json.dumps({"t": "send", **frame}).encode(), **native), CONFIG).contact


def test_a_message_becomes_a_live_contact() -> None:
    made = contact({"cid": "m1", "text": "Hei,\r\njeg venter på pakken\u0000 "})
    assert made.text == "Hei,\njeg venter på pakken"
    assert (made.channel, made.conversation, made.account, made.language) == ("chat", "s-1", "shop.example", "nb")
    assert (made.sender.kind, made.sender.address) == ("chat", "s-1")
    assert made.proof.level == "none", "a stranger in a chat window has proven nothing"
    assert made.deadline == AT + timedelta(seconds=60)
    assert made.native == {"cid": "m1"}
    assert msgspec.json.decode(encode(made), type=Contact) == made


def test_the_same_client_id_in_the_same_conversation_is_the_same_contact() -> None:
    first = contact({"cid": "m1", "text": "a"})
    assert contact({"cid": "m1", "text": "a"}).id == first.id
    assert contact({"cid": "m2", "text": "a"}).id != first.id
    assert contact({"cid": "m1", "text": "a"}, session="s-2").id != first.id


def test_the_button_asks_for_a_person_and_no_other_word_does() -> None:
    assert contact({"cid": "m1", "text": "Menneske", "request": "person"}).native["request"] == "person"
    assert "request" not in contact({"cid": "m1", "text": "Menneske", "request": "confirm"}).native


def test_the_language_of_the_moment_beats_that_of_the_beginning() -> None:
    assert contact({"cid": "m1", "text": "a", "lang": "de"}).language == "de"
    assert contact({"cid": "m1", "text": "a", "lang": "xx"}).language == ""


def test_who_the_host_page_signed_for_is_known_but_only_then() -> None:
    made = contact(
        {"cid": "m1", "text": "a"},
        identity={"kind": "email", "address": "kari.lunde@kunde.example", "name": "Kari Lunde", "until": 5},
    )
    assert made.proof.level == "session"
    assert made.proof.by == "host page"
    assert made.native["identity"] == {"kind": "email", "address": "kari.lunde@kunde.example", "name": "Kari Lunde"}
    assert made.sender.address == "s-1", "replies go to the conversation, whoever it is"
    claimed = contact({"cid": "m1", "text": "a", "identity": {"kind": "email", "address": "kari.lunde@kunde.example"}})
    assert claimed.proof.level == "none", "what a visitor's own frame says about identity counts for nothing"
    assert "identity" not in claimed.native


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"hello", b"[" * 50_000, b'{"t":"send"}', b'{"t":"ack","cursor":"1-1"}', b"\x00" * 100]
)
def test_bytes_that_are_no_message_give_an_unreadable_contact(data: bytes) -> None:
    made = plugin.normalise(plugin.raw_from_file(data, "frame.json", CONFIG), CONFIG).contact
    assert made.quality.status == "unreadable"
    assert made.text == ""
    assert encode(made)


def test_a_message_without_text_is_marked() -> None:
    assert contact({"cid": "m1", "text": "  "}).quality.status == "degraded"


def test_a_file_with_a_frame_is_a_contact_and_the_same_every_time() -> None:
    data = b'{"t":"send","cid":"m1","text":"Guten Tag","session":"s-9","lang":"de"}'
    made = plugin.normalise(plugin.raw_from_file(data, "a.json", CONFIG), CONFIG).contact
    again = plugin.normalise(plugin.raw_from_file(data, "b.json", CONFIG), CONFIG).contact
    assert made == again
    assert (made.conversation, made.language, made.text) == ("s-9", "de", "Guten Tag")


@given(st.binary(max_size=300))
def test_normalising_never_raises(data: bytes) -> None:
    made = plugin.normalise(plugin.raw_from_file(data, "x", CONFIG), CONFIG).contact
    assert made.quality.status in ("ok", "degraded", "unreadable")
