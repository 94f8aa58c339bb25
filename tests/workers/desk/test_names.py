"""People have a short name that signs in and one that is read, by colleagues and by customers."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bus.message import Party
from bus.store.port import Effect, Result
from workers.case.praise import Colleague
from workers.case.rules import Refused
from workers.desk.actions import Actions, Writing
from workers.desk.staff import People, Staff, colleague_of


def actions_of(shop: Any, store: Any = None) -> Actions:
    return Actions(store=store or shop.engine, clock=shop.clock, service=shop.pack.policy.service)


async def a_case(shop: Any, understand: Any) -> str:
    sender = Party(kind="postal", address="Weg 1\n10115 Berlin", name="Kim Neu")
    heard = await shop.hear(shop.contact("Hallo", channel="post", sender=sender), understand("", department="desk"))
    return heard.case


@pytest.mark.parametrize(("display_name", "signed"), [("Jürgen Müller", "Jürgen Müller"), ("", "juergen")])
async def test_a_reply_is_signed_by_the_name_that_is_read(
    shop: Any, understand: Any, display_name: str, signed: str
) -> None:
    people = People(store=shop.engine, clock=shop.clock)
    await people.keep("shop", Staff(name="juergen", display_name=display_name))
    case = await a_case(shop, understand)
    writing = Writing(text="Guten Tag.", channel="post", language="de", seen=(await shop.case(case)).version)
    applied: list[Effect] = []

    async def apply(effects: Sequence[Effect]) -> Sequence[Result]:
        applied.extend(effects)
        return await shop.engine.apply(effects)

    seen = SimpleNamespace(one=shop.engine.one, all=shop.engine.all, by_keys=shop.engine.by_keys, apply=apply)
    await actions_of(shop, seen).reply("shop", case, "juergen", writing)
    assert [reply.signed_by for effect in applied for reply in effect.outcome.replies] == [signed]
    state = await shop.case(case)
    # The timeline keeps the short one, which never changes.
    assert (state.assignee, state.helpers) == ("juergen", ("juergen",))


async def test_names_of_those_who_have_left_are_still_read(shop: Any) -> None:
    people = People(store=shop.engine, clock=shop.clock)
    staff = Staff(name="oyvind", display_name="Øyvind Åsen", mail="oa@shop.example")
    await people.keep("shop", staff)
    assert await people.one("shop", "oyvind") == staff
    assert colleague_of(staff) == Colleague(name="oyvind", shown="Øyvind Åsen", mail="oa@shop.example")
    await people.remove("shop", "oyvind")
    assert await people.shown("shop") == {"oyvind": "Øyvind Åsen"}
    assert await people.shown("elsewhere") == {}


@pytest.mark.parametrize("written", ["Jürgen Müller", "Anne-Lise O’Brien", "Dr. Øyvind Åsen jr.", "Li", "X", ""])
def test_names_are_taken_as_they_are_written(written: str) -> None:
    assert msgspec.convert({"name": "a", "display_name": written}, Staff).shown == (written or "a")


@pytest.mark.parametrize("written", [" Jürgen", "Jürgen ", "<b>J</b>", "J\nMüller", "4711", "J" * 81])
def test_what_is_no_name_is_refused(written: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "a", "display_name": written}, Staff)


async def test_whoever_leaves_leaves_no_case_behind(shop: Any, understand: Any) -> None:
    people, actions = People(store=shop.engine, clock=shop.clock), actions_of(shop)
    for name in ("mina", "ole"):
        await people.keep("shop", Staff(name=name))
    first, second, third = [await a_case(shop, understand) for _ in range(3)]
    for case, name in ((first, "mina"), (second, "ole"), (third, "ole")):
        await actions.assign("shop", case, name, name)
    assert await people.remove("shop", "ole")
    assert [(await shop.case(case)).assignee for case in (first, second, third)] == ["mina", "", ""]
    assert not await people.remove("shop", "ole")


async def test_a_case_is_given_to_nobody_who_does_not_work_here(shop: Any, understand: Any) -> None:
    people, actions = People(store=shop.engine, clock=shop.clock), actions_of(shop)
    await people.keep("shop", Staff(name="mina"))
    await people.keep("shop", Staff(name="ole"))
    await people.remove("shop", "ole")
    case = await a_case(shop, understand)
    for name in ("ole", "mian"):
        with pytest.raises(Refused, match="colleague"):
            await actions.assign("shop", case, "mina", name)
    await actions.assign("shop", case, "mina", "mina")
    assert (await shop.case(case)).assignee == "mina"
    await actions.assign("shop", case, "mina", "")
    assert (await shop.case(case)).assignee == ""
