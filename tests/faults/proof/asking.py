"""What only the product can say about itself, asked by its own commands."""

import asyncio
import json
import re
import time
from datetime import UTC, datetime
from typing import Any

from proof.house import House
from proof.judge import marks_of
from proof.ledger import Asked, Closing, Ledger
from proof.questions import LANGUAGES, MATTERS, goodbye, spoken

__all__ = ["SETTLE_S", "ask"]

SETTLE_S = 150.0
"""Nothing may still be waiting so long after the last disturbance. The note's invariant 9 allows five minutes."""
_LOOK_S = 1.0
_SHOWN = 12
"""Cases whose whole record is read; each costs a command."""
_MARK = re.compile(r"\(([acmr]-\d+-\d+)\)")
_SAID = {spoken(matter, language): matter for language in LANGUAGES for matter in MATTERS} | {
    goodbye(language): "goodbye" for language in LANGUAGES
}


async def ask(house: House, ledger: Ledger, calls: set[str], within_s: float = SETTLE_S) -> Asked:
    """What only the product can say; asked again while work is still waiting."""
    ends = time.monotonic() + within_s
    asked = Asked()
    while True:
        rows = await house.ask("workers", "list")
        asked.behind = sum(row["behind"] + row.get("parked", 0) for row in rows)
        if not asked.behind or time.monotonic() > ends:
            break
        await asyncio.sleep(_LOOK_S)
    letters = await house.ask("dead-letters", "list")
    # A live message that could not be answered in time goes to a person: that is its rule, and no failure.
    asked.too_late = sum(letter["reason"] == "deadline" for letter in letters)
    asked.dead_letters = len(letters) - asked.too_late
    for contact in await house.ask("contacts", "list"):
        mark = _mark_of(contact, calls)
        if mark is not None:
            asked.contacts.append((contact["id"], mark))
    cases = await house.ask("cases", "list")
    for case in cases:
        asked.cases[case["id"]] = case["contacts"]
        if case["status"] == "closed":
            asked.closed.append(case["id"])
        if case["with_person"]:
            asked.with_person.add(case["id"])
    farewells = {offer.mark for offer in ledger.offers if offer.closes}
    for case in asked.closed:
        if farewells.isdisjoint(marks_of(asked, case)):
            asked.closings[case] = _closing(await house.ask("cases", "show", case))
    for case in cases[:: max(1, len(cases) // _SHOWN)][:_SHOWN]:
        shown = await house.ask("cases", "show", case["id"])
        asked.timelines[case["id"]] = [(entry["seq"], entry["actor"]) for entry in shown["timeline"]]
    # It ends with 1 when it has something to say.
    checked = await house.ask("cases", "rebuild", "--check", may_end=(0, 1))
    asked.changed = {each["case"]: json.dumps(each) for each in checked["differ"]}
    return asked


def _closing(shown: dict[str, Any]) -> Closing:
    last = {entry["kind"]: _moment(entry["at"]) for entry in shown["timeline"]}
    return Closing(asked=last.get("anything-else-asked"), closed=last["closed"])


def _moment(at: str) -> float:
    """A time of the house on the ledger's clock."""
    return time.monotonic() - (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()


def _mark_of(contact: dict[str, Any], calls: set[str]) -> str | None:
    """What the contact was offered by; None for what a channel reports beside words (a caller who hung up)."""
    if contact["channel"] == "post":
        return contact["sender"].get("name", "")
    text = contact.get("text", "")
    if contact["channel"] == "phone":
        sid = contact.get("conversation", "")
        said = _SAID.get(text.strip())
        if said is None and sid in calls:
            return None
        return f"{sid}/{said}"
    found = _MARK.search(text)
    return found[1] if found else ""
