"""Every record version that was ever released is read for ever, and written as it was."""

import json
from pathlib import Path

import msgspec
import pytest

from bus.errors import PoisonError
from bus.message import Contact, Reply, Status, UnknownBody, decode, decode_body, encode
from workers.case.changes import CaseChanged
from workers.case.model import CaseState
from workers.case.work import CaseTimer, Identified, Look, WorkItem

V1 = Path(__file__).parent / "v1"
KINDS = {
    "contact": Contact,
    "reply": Reply,
    "status": Status,
    "identified": Identified,
    "work_item": WorkItem,
    "case_timer": CaseTimer,
    "case_changed": CaseChanged,
    "case_state": CaseState,
    "reply_bound": Reply,
    "case_state_heard": CaseState,
    "case_state_waiting": CaseState,
    "case_state_promised": CaseState,
    "case_changed_promised": CaseChanged,
    "case_changed_waiting": CaseChanged,
    "case_state_parted": CaseState,
    "case_changed_parted": CaseChanged,
    "reply_marketing": Reply,
    "case_state_cared": CaseState,
    "case_state_offered": CaseState,
    "case_changed_offered": CaseChanged,
    "reply_callback": Reply,
    "look": Look,
    "case_state_chained": CaseState,
    "case_state_granted": CaseState,
}
"""By file. A record that got a field later has a further file with it; what was written before stays as it is."""


@pytest.mark.parametrize("name", KINDS)
def test_version_1_is_read_and_written_unchanged(name: str) -> None:
    data = (V1 / f"{name}.json").read_bytes().strip()
    record = decode(data, KINDS[name])
    assert json.loads(encode(record)) == json.loads(data)


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS.values()), ids=lambda kind: kind.__name__)
def test_the_golden_files_set_every_field_to_something_else_than_its_default(kind: type[msgspec.Struct]) -> None:
    """Otherwise a field could be renamed without a golden file noticing."""
    records = [decode((V1 / f"{name}.json").read_bytes(), kind) for name, of in KINDS.items() if of is kind]
    bland = [
        field.name
        for field in msgspec.structs.fields(kind)
        if field.default is not msgspec.NODEFAULT
        and all(getattr(record, field.name) == field.default for record in records)
    ]
    # Nothing but inbound exists yet.
    assert [field for field in bland if field != "direction"] == []


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    data = json.loads((V1 / "status.json").read_text())
    data["colour"] = "blue"
    del data["provider_id"]
    status = decode(json.dumps(data).encode(), Status)
    assert status.provider_id == ""


def test_a_body_of_unknown_kind_survives_with_its_bytes() -> None:
    contact = decode((V1 / "contact.json").read_bytes(), Contact)
    body = decode_body(contact.body, {})
    assert isinstance(body, UnknownBody)
    assert body.kind == "mail"
    assert json.loads(body.raw) == {"kind": "mail", "parts": 2}


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 20_000, b'{"id": 1}', b"\xff\xfe", b'"text"'])
def test_what_is_no_contact_is_poison(data: bytes) -> None:
    with pytest.raises(PoisonError):
        decode(data, Contact)
