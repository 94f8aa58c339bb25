"""Answers looked up for a whole batch before they are asked for one by one.

A decision asks the store about one contact at a time, and every single read costs a turn of the interpreter, or a round
trip. What a batch will ask is mostly known beforehand: it is read with one statement per kind of question. Whoever asks
does not notice; a question that was not foreseen goes to the store as before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Executable

from bus.clock import Clock
from bus.store.port import Effect, Result, Row, Store

__all__ = ["Ahead", "Question"]

FRESH_S = 1.0
"""How long an answer is believed: as long as a batch waits to be decided, and no longer than a slow decision takes."""

MAX_ANSWERS = 20_000
"""Answers kept, some kilobytes each at most; more than several batches ask."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A select that is asked one by one, and the same for many keys.

    `asked` has the parameters `given` and `key`. `many` lacks the condition that `column` is `key`, and its rows carry
    that column's value under `label`. Parameters beside these (a moment) make no difference within FRESH_S.
    """

    asked: Any
    many: Any
    column: Any
    label: str
    key: str
    given: tuple[str, ...] = ("tenant",)


class Ahead:
    """A `Store` that remembers for a moment what was looked up ahead.

    For what nobody guards by a version only: a decision that is taken again after a conflict may meet the same answer.
    """

    def __init__(self, store: Store, clock: Clock, questions: Iterable[Question]) -> None:
        self._store = store
        self._clock = clock
        self._questions = {id(question.asked): question for question in questions}
        self._answers: dict[tuple[Any, ...], tuple[float, Sequence[Row]]] = {}

    async def look(
        self, question: Question, keys: Iterable[str], params: Mapping[str, Any]
    ) -> Mapping[str, Sequence[Row]]:
        """Look many keys up at once; the rows of each. From now on they are answered from here."""
        found: dict[str, list[Row]] = {key: [] for key in keys}
        if not found:
            return found
        for row in await self._store.by_keys(question.many, question.column, list(found), params):
            found[row[question.label]].append(row)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.clear()
        until = self._clock.monotonic() + FRESH_S
        place = (id(question.asked), *(params[name] for name in question.given))
        for key, rows in found.items():
            self._answers[*place, key] = (until, rows)
        return found

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """As the store's."""
        known = self._known(statement, params)
        return await self._store.all(statement, params) if known is None else known

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """As the store's."""
        known = self._known(statement, params)
        if known is None:
            return await self._store.one(statement, params)
        return known[0] if known else None

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        """As the store's."""
        return await self._store.by_keys(statement, column, keys, params)

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        """As the store's."""
        return await self._store.apply(effects)

    def _known(self, statement: Executable, params: Mapping[str, Any] | None) -> Sequence[Row] | None:
        question = self._questions.get(id(statement))
        if question is None or params is None:
            return None
        place = (id(statement), *(params[name] for name in question.given), params[question.key])
        until, rows = self._answers.get(place, (0.0, ()))
        return rows if until >= self._clock.monotonic() else None
