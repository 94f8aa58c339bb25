"""Applying many effects at once against the simplest model: one after another, each whole or not at all."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, delete, insert, select, update

from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.tables import timer
from bus.store.port import Effect
from bus.testing.clock import FakeClock
from bus.testing.log_records import records_of

TOPIC = "model.out"
NAMES = ("a", "b", "c")

_insert = insert(timer)
_set = update(timer).where(timer.c.id == bindparam("b_id")).values(due=bindparam("b_due"))
_move = update(timer).where(timer.c.due == bindparam("b_from")).values(due=bindparam("b_due"))
_delete = delete(timer).where(timer.c.id == bindparam("b_id"))

writes = st.one_of(
    st.tuples(st.just("insert"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("set"), st.sampled_from(NAMES), st.integers(0, 3)),
    st.tuples(st.just("move"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just(0)),
)
guarded = st.tuples(writes, st.sampled_from([None, None, 0, 1, 2]))
effect = st.tuples(st.lists(guarded, max_size=4), st.booleans())
batches = st.lists(st.lists(effect, min_size=1, max_size=6), min_size=1, max_size=4)


def _write(what: tuple[str, Any, int], expect: int | None) -> Write:
    kind, first, second = what
    if kind == "insert":
        row = {"id": first, "due": second, "tenant": "t", "topic": "t", "key": "k", "kind": "x", "value": b""}
        return Write(statement=_insert, params=row, expect=expect)
    if kind == "set":
        return Write(statement=_set, params={"b_id": first, "b_due": second}, expect=expect)
    if kind == "move":
        return Write(statement=_move, params={"b_from": first, "b_due": second}, expect=expect)
    return Write(statement=_delete, params={"b_id": first}, expect=expect)


def _by_model(state: dict[str, int], what: tuple[str, Any, int]) -> int:
    """Change the state; how many rows that were. Raises KeyError for a row that exists."""
    kind, first, second = what
    if kind == "insert":
        if first in state:
            raise KeyError(first)
        state[first] = second
        return 1
    if kind == "set":
        if first not in state:
            return 0
        state[first] = second
        return 1
    if kind == "move":
        hit = [name for name, due in state.items() if due == first]
        state.update(dict.fromkeys(hit, second))
        return len(hit)
    return 0 if state.pop(first, None) is None else 1


async def _compare(given_batches: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = await EmbeddedEngine.open(Path(folder), clock=FakeClock())
        await engine.create_schema()
        state: dict[str, int] = {}
        emitted: list[str] = []
        number = 0
        for batch in given_batches:
            effects: list[Effect] = []
            expected: list[bool] = []
            for changes, emits in batch:
                number += 1
                records = (Record(topic=TOPIC, key="k", value=b"", id=str(number)),) if emits else ()
                outcome = Outcome(writes=tuple(_write(what, expect) for what, expect in changes), emit=records)
                effects.append(Effect(outcome=outcome))
                after = dict(state)
                try:
                    # Every write is made before its guard is asked, as in the database.
                    changed = [(_by_model(after, what), expect) for what, expect in changes]
                    good = all(expect in (None, count) for count, expect in changed)
                except KeyError:
                    good = False
                expected.append(good)
                if good:
                    state = after
                    emitted += [record.id for record in records]
            results = await engine.apply(effects)
            assert [result.applied for result in results] == expected
            assert {result.reason for result in results if not result.applied} <= {"conflict"}
        rows = await engine.all(select(timer.c.id, timer.c.due))
        assert {row["id"]: row["due"] for row in rows} == state
        assert [record.id for record in await records_of(engine, TOPIC)] == emitted
        await engine.close()


@settings(max_examples=60)
@given(batches)
def test_a_batch_is_as_good_as_one_after_another(given_batches: list[Any]) -> None:
    asyncio.run(_compare(given_batches))
