"""A proof that cannot fail proves nothing: each suite must catch engines and adapters with known faults."""

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from adapters import chat
from adapters.chat.config import ChatConfig
from bus.adapter.contract import ChannelPlugin, Normalised, Raw
from bus.errors import ContactbusError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.message import Quality, derive_id
from bus.store.port import Effect, Result
from bus.testing import adapter_conformance
from bus.testing.adapter_conformance import AdapterConformance
from bus.testing.log_conformance import LogConformance
from bus.testing.store_conformance import StoreConformance

Change = Callable[[Normalised, Raw], Normalised]


def _contact(**values: Any) -> Change:
    """A fault in fields of the contact; a value may be a function of the contact and the raw input."""

    def change(normalised: Normalised, raw: Raw) -> Normalised:
        made = {name: value(normalised.contact, raw) if callable(value) else value for name, value in values.items()}
        return msgspec.structs.replace(normalised, contact=msgspec.structs.replace(normalised.contact, **made))

    return change


def _fragile(normalised: Normalised, raw: Raw) -> Normalised:
    if b"\x00" in raw.data:
        raise ValueError("did not think of NUL")
    return normalised


def _hasty_blobs(normalised: Normalised, raw: Raw) -> Normalised:
    return msgspec.structs.replace(normalised, blobs={"sha256:" + "0" * 64: b"other bytes"})


FAULTS: dict[str, tuple[Change, str]] = {
    "random ids": (_contact(id=lambda *_: f"c-{uuid.uuid4().hex[:20]}"), "test_the_same_input_gives_the_same_contact"),
    "ids of the moment": (
        _contact(id=lambda _, raw: derive_id("c", str(raw.data), str(raw.received_at))),
        "test_input_that_comes_again_later_is_the_same_contact",
    ),
    "ids without the tenant": (
        _contact(id=lambda _, raw: derive_id("c", str(raw.data))),
        "test_different_contacts_and_tenants_have_different_ids",
    ),
    "one id for all": (_contact(id="c-1"), "test_different_texts_are_different_contacts"),
    "raises on NUL": (_fragile, "test_poison_and_twisted_input_still_gives_a_contact"),
    "never doubts": (_contact(quality=Quality()), "test_broken_input_is_marked_and_never_raises"),
    "always doubts": (_contact(quality=Quality(status="degraded", reasons=("x",))), "test_samples_are_read_well"),
    "doubts without a reason": (_contact(quality=Quality(status="degraded")), "test_samples_are_read_well"),
    "foreign language": (_contact(language="tlh"), "test_samples_are_read_well"),
    "everything automatic": (_contact(automatic=True), "test_samples_are_read_well"),
    "letters lost": (
        _contact(text=lambda contact, _: contact.text.encode("ascii", "replace").decode()),
        "test_what_people_write_arrives",
    ),
    "lone surrogates kept": (_contact(text="half \ud83d"), "test_what_no_text_may_hold_is_left_out_or_replaced"),
    "blobs under a wrong digest": (_hasty_blobs, "test_samples_are_read_well"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_adapter_kit_catches(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, name = FAULTS[fault]

    def faulty(raw: Raw, config: ChatConfig) -> Normalised:
        return change(chat.plugin.normalise(raw, config), raw)

    assert not _fails(chat.plugin, name)
    assert _fails(dataclasses.replace(chat.plugin, normalise=faulty), name)


def _frame(data: bytes) -> Raw:
    return Raw(
        tenant="shop", account="web", media_type="application/json", data=data,
        received_at=datetime(2026, 11, 22, tzinfo=UTC), native={"session": "s", "lang": "de"},
    )  # fmt: skip


def _said(text: str) -> Raw:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return _frame(json.dumps({"t": "send", "cid": digest[:16], "text": text}).encode())


def _fails(plugin: ChannelPlugin, name: str) -> bool:
    kit = AdapterConformance()
    config = ChatConfig()

    def read(raw: Raw) -> Normalised:
        normalised = plugin.normalise(raw, config)
        adapter_conformance._check(normalised, raw, plugin)
        return normalised

    texts = ("Guten Tag", "Hei", "Hello")
    given: dict[str, Any] = {
        "plugin": plugin,
        "config": config,
        "read": read,
        "say": _said,
        "samples": [_said(text) for text in texts],
        "broken": [_frame(b"\xff"), _frame(b'{"t":"hello"}')],
    }
    test = getattr(AdapterConformance, name)
    wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
    try:
        test(kit, **{argument: given[argument] for argument in wanted})
    except (AssertionError, ValueError, UnicodeError, ContactbusError):
        return True
    return False


class _Engine:
    """The embedded engine, but for one fault."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class _ForgetsOnce(_Engine):
    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        return await self._engine.append(records)


class _SwapsRecords(_Engine):
    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        return list(reversed(await self._engine.append(list(reversed(records)), once=once)))


class _SeesNoLag(_Engine):
    async def lag(self, group: str, topics: Sequence[str]) -> Any:
        return dict.fromkeys(await self._engine.lag(group, topics), (0, 0.0))


class _AppliesOneByOne(_Engine):
    """Emits first and asks the guard afterwards: not one transaction."""

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        for effect in effects:
            await self._engine.append(effect.outcome.emit)
        bare = [
            Effect(outcome=msgspec.structs.replace(effect.outcome, emit=()), source=effect.source) for effect in effects
        ]
        return await self._engine.apply(bare)


class _LosesProgress(_Engine):
    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        return await self._engine.apply([Effect(outcome=effect.outcome) for effect in effects])


class _AllOrNothing(_Engine):
    """One guilty effect takes the innocent with it."""

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        results = [(await self._engine.apply([effect]))[0] for effect in effects]
        good = all(result.applied for result in results)
        return results if good else [Result(applied=False, reason="conflict")] * len(results)


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (_ForgetsOnce, LogConformance.test_once_leaves_out_what_was_appended_before),
        (_SwapsRecords, LogConformance.test_a_new_group_reads_from_the_beginning_and_each_group_everything),
        (_SeesNoLag, LogConformance.test_lag_counts_what_is_unfinished_and_tells_its_age),
        (_AppliesOneByOne, StoreConformance.test_a_failing_guard_undoes_its_own_effect_alone),
        (_LosesProgress, StoreConformance.test_a_delivery_is_finished_once),
        (_LosesProgress, StoreConformance.test_an_outcome_of_nothing_finishes_its_delivery),
        (_LosesProgress, StoreConformance.test_what_a_closed_member_still_decides_is_fenced),
        (_AllOrNothing, StoreConformance.test_a_failing_guard_undoes_its_own_effect_alone),
    ],
)
async def test_the_engine_suites_catch(fault: type[_Engine], test: Any, engine: EmbeddedEngine) -> None:
    suite: Any = LogConformance() if test.__qualname__.startswith("LogConformance") else StoreConformance()
    faulty = fault(engine)

    async def open_again() -> Any:
        return faulty

    given = {"log": faulty, "engine": faulty, "open_log": open_again}
    wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
    with pytest.raises(AssertionError):
        await test(suite, **{argument: given[argument] for argument in wanted})
