"""Exchange: the same thing in another size or colour, once."""

import re

from workers.dialogue import ORDER, Confirm, Fact, NeedFacts, Person, Report, Step, Turn
from workers.dialogue.orders import open_order
from workers.policy import Exchange as Proposal
from workers.policy import judge
from workers.policy.facts import facts_of
from workers.policy.model import NEEDS_PERSON
from workers.records import OrderLine, Product

__all__ = ["Exchange"]

VARIANT = Fact("variant", (), "ask.variant")


class Exchange:
    """Procedure `exchange`."""

    name = "exchange"
    facts = (ORDER,)
    needs_proof = True
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        customer, order = turn.customer, file.order
        assert customer is not None
        if turn.step == "confirm" and turn.answer == "no":
            turn.say("return.declined")
            return Report("declined", "declined")
        exchangeable = [(line, file.product_of(line)) for line in file.lines if file.product_of(line).variants]
        if not exchangeable:
            turn.say("exchange.no-variants", order=order.id)
            return Person("exchange for another product")
        line, product = exchangeable[0]
        variant = self._variant(turn, line, product)
        agreed = turn.step == "confirm" and turn.answer == "yes" and bool(variant)
        proposal = Proposal(customer=customer.id, order=order.id, line=line.line, variant=variant)
        verdict = judge(proposal, facts_of(file, customer, confirmed=agreed), turn.pack.policy, turn.now)
        name = product.name(turn.language)
        if verdict.effect == NEEDS_PERSON:
            return Person(f"exchange: {', '.join(verdict.rules)}")
        if "exchange.late" in verdict.rules and verdict.deadline is not None:
            turn.say("exchange.late", order=order.id, date=turn.date(verdict.deadline), items=name)
            return Report("declined", "refused")
        if "state.delivered" in verdict.rules:
            turn.say("return.not-delivered", order=order.id)
            return Report("declined", "refused")
        if "once.item" in verdict.rules:
            turn.say("exchange.already", order=order.id)
            return Report("declined", "refused")
        if "variant" in verdict.missing:
            options = ", ".join(other for other in product.variants if other != line.variant)
            turn.say("exchange.options", items=name, options=options)
            return NeedFacts((VARIANT,))
        if not agreed:
            turn.say("exchange.propose", items=name, variant=variant, old=line.variant)
            return Confirm("confirm")
        if product.stock <= 0:
            return Person("exchange: out of stock", say="exchange.out-of-stock")
        return_id, writes = turn.records.announce_return(
            tenant=turn.tenant, order=order.id, line=line.line, kind="exchange", case=turn.state.id, now=turn.now,
            detail=variant,
        )  # fmt: skip
        turn.act("exchange", return_id, writes, rules=verdict.rules)
        until = turn.working_days(turn.pack.policy.defects.replacement_working_days)
        turn.promise("exchange", until, action=f"return:{return_id}")
        turn.say(
            "exchange.done", items=name, variant=variant, date=turn.date(until),
            number=turn.state.number,
        )  # fmt: skip
        return Report("exchanged")

    def _variant(self, turn: Turn, line: OrderLine, product: Product) -> str:
        """The variant that the customer names; the one he has is what he wants to be rid of."""
        others = [variant for variant in product.variants if variant != line.variant]
        named = _named(others, turn.contact.own_text())
        if not named and "variant" not in turn.facts:
            named = _named(others, turn.facts.get("said", ""))
        if named:
            turn.facts["variant"] = named
        return turn.facts.get("variant", "")


def _named(variants: list[str], text: str) -> str:
    """The one variant that a text names. Single letters count as capitals only: "it's" is no size."""
    found = [
        variant
        for variant in variants
        if re.search(rf"(?<!\w){re.escape(variant)}(?!\w)", text, re.IGNORECASE if len(variant) > 1 else 0)
    ]
    return found[0] if len(found) == 1 else ""
