"""Faulty and damaged goods: an apology, two things to try, then repair, replacement or money back."""

from datetime import timedelta

from workers.dialogue import ORDER, Choose, Fact, NeedFacts, NeedProof, Person, Report, Step, Try, Turn
from workers.dialogue.articles import find_article
from workers.dialogue.orders import item_names, open_order
from workers.policy import Proposal, Repair, Replacement, ReturnGoods, judge
from workers.policy.facts import facts_of
from workers.records import OrderFile

__all__ = ["DamagedItem", "FaultyDevice"]

STEPS_TO_TRY = 2
"""More than two things to try is a chore that we put on the customer."""

GENERAL = "fault.general"
"""The article for a device that no other one is about."""


class FaultyDevice:
    """Procedure `faulty_device`. Advice needs no proof; the remedy does."""

    name = "faulty_device"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""
    options: tuple[str, ...] = ("repair", "replacement", "refund")

    async def decide(self, turn: Turn) -> Step:
        if turn.step in ("", "tried-1", "tried-2"):
            advice = self._advise(turn)
            if advice is not None:
                return advice
        return await self._remedy(turn)

    def _advise(self, turn: Turn) -> Step | None:
        if turn.step and turn.answer == "yes":
            turn.say("fault.solved")
            return Report("solved")
        if not turn.step:
            turn.say("fault.sorry")
        article = find_article(turn, turn.facts.get("article", ""), prefix="fault.", otherwise=GENERAL)
        steps = article.steps[:STEPS_TO_TRY] if article is not None else ()
        if article is not None:
            turn.facts["article"] = article.key
        if turn.live:
            place = 0 if not turn.step else int(turn.step[-1])
            if place < len(steps):
                turn.say("fault.try" if place == 0 else "fault.try-next")
                turn.say_text(steps[place])
                turn.say("fault.helped")
                return Try(f"tried-{place + 1}")
            return None
        if not turn.step and steps:
            # One letter: everything there is to try, and what we need to know if it does not help.
            turn.say("fault.try-all")
            turn.say_text("\n".join(f"{place}. {step}" for place, step in enumerate(steps, start=1)))
            turn.say("fault.helped-letter")
            return Try("tried-2")
        return None

    async def _remedy(self, turn: Turn) -> Step:
        if turn.step not in ("remedy", "choose"):
            turn.say("fault.remedy" if turn.step else "fault.remedy-first")
        if not turn.proven:
            return NeedProof("remedy")
        if "order" not in turn.facts:
            assert turn.customer is not None
            orders = await turn.records.orders_of(turn.tenant, turn.customer.id)
            if len(orders) != 1:
                return NeedFacts((ORDER,))
            turn.facts["order"] = orders[0].id
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        if not file.lines:
            return Person("order without lines")
        if turn.step != "choose" or not turn.choice:
            turn.say(f"{self.name}.choose", items=item_names(turn, file))
            return Choose(self.options, "choose")
        return self._choose(turn, file)

    def _choose(self, turn: Turn, file: OrderFile) -> Step:
        customer, order = turn.customer, file.order
        assert customer is not None
        line = file.lines[0].line
        kind = turn.choice
        proposal: Proposal
        if kind == "repair":
            proposal = Repair(customer=customer.id, order=order.id, line=line)
        elif kind == "replacement":
            proposal = Replacement(customer=customer.id, order=order.id, line=line)
        else:
            proposal = ReturnGoods(customer=customer.id, order=order.id, line=line)
        # The choice itself is the explicit yes: it names exactly one remedy.
        facts = facts_of(file, customer, confirmed=True)
        verdict = judge(proposal, facts, turn.pack.policy, turn.now)
        items = file.product_of(file.lines[0]).name(turn.language)
        if "once.item" in verdict.rules:
            turn.say("fault.already", items=items)
            return Report("explained", "explained")
        if not verdict.allowed:
            reason = f"faulty goods, {kind} wished: {', '.join(verdict.rules)}"
            return Person(reason, say="fault.person-refund" if kind == "refund" else "fault.person")
        return_id, writes = turn.records.announce_return(
            tenant=turn.tenant, order=order.id, line=line, kind=kind, case=turn.state.id, now=turn.now
        )
        turn.act(kind, return_id, writes, rules=verdict.rules)
        defects = turn.pack.policy.defects
        days = defects.repair_working_days if kind == "repair" else defects.replacement_working_days
        returns = turn.pack.policy.returns
        until, refund_days = turn.working_days(days), returns.refund_days
        if kind == "refund":
            # The day that is named is the one by which the customer sends it back.
            until = turn.now + timedelta(days=returns.send_back_days)
            turn.promise("refund-after-return", turn.now + timedelta(days=refund_days), action=f"return:{return_id}")
        else:
            turn.promise(kind, until, action=f"return:{return_id}")
        turn.say(f"fault.{kind}", items=items, number=turn.state.number, date=turn.date(until), days=refund_days)
        outcome = {"repair": "repair-announced", "replacement": "replaced", "refund": "return-announced"}[kind]
        return Report(outcome)


class DamagedItem(FaultyDevice):
    """Procedure `damaged_or_wrong_item`: nothing to try, straight to the remedy."""

    name = "damaged_or_wrong_item"
    options = ("replacement", "refund")

    def _advise(self, turn: Turn) -> Step | None:
        return None
