"""Return for refund: the withdrawal that the law grants, and the longer window of the company.

A withdrawal is a declaration and needs no proof to be valid: it is confirmed with its date, at once. Whether the order
is in time and what it cost is told only to whoever proved to be its customer; on paper, where a second letter would
cost days, the instructions go out with the confirmation.
"""

from datetime import datetime, timedelta

from workers.dialogue import ORDER, Confirm, Fact, NeedFacts, NeedProof, Person, Report, Step, Turn
from workers.dialogue.orders import item_names, open_order
from workers.policy import ReturnGoods, judge
from workers.policy.facts import facts_of
from workers.policy.model import NEEDS_PERSON
from workers.records import OrderFile

__all__ = ["ReturnForRefund"]


class ReturnForRefund:
    """Procedure `return_for_refund`."""

    name = "return_for_refund"
    facts: tuple[Fact, ...] = ()
    needs_proof = False
    authorises = ""

    async def decide(self, turn: Turn) -> Step:
        declared = turn.facts.setdefault("declared", turn.contact.occurred_at.isoformat())
        if turn.channel == "post" and not turn.proven:
            self._acknowledge(turn)
            self._instructions(turn, f"withdrawal:{turn.contact.id}")
            turn.act("withdrawal-declared", turn.facts.get("order", ""), ())
            return Report("return-announced")
        if not turn.proven:
            if turn.understanding.legal == "withdraw" and "noted" not in turn.facts:
                turn.facts["noted"] = "yes"
                self._acknowledge(turn)
            return NeedProof()
        if "order" not in turn.facts and not await self._only_order(turn):
            return NeedFacts((ORDER,))
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        return self._judge(turn, file, datetime.fromisoformat(declared))

    async def _only_order(self, turn: Turn) -> bool:
        assert turn.customer is not None
        orders = await turn.records.orders_of(turn.tenant, turn.customer.id)
        if len(orders) == 1:
            turn.facts["order"] = orders[0].id
        return len(orders) == 1

    def _acknowledge(self, turn: Turn) -> None:
        received = turn.date(turn.contact.received_at)
        order = turn.facts.get("order", "")
        if order:
            turn.say("withdraw.noted-order", date=received, order=order)
        else:
            turn.say("withdraw.noted", date=received)

    def _instructions(self, turn: Turn, action: str) -> None:
        returns = turn.pack.policy.returns
        turn.promise("refund-after-return", turn.now + timedelta(days=returns.refund_days), action=action)
        turn.say(
            "return.instructions", number=turn.state.number,
            date=turn.date(turn.now + timedelta(days=returns.send_back_days)), days=returns.refund_days,
        )  # fmt: skip

    def _judge(self, turn: Turn, file: OrderFile, declared: datetime) -> Step:
        customer = turn.customer
        assert customer is not None
        order = file.order
        if turn.step == "confirm" and turn.answer == "no":
            turn.say("return.declined")
            return Report("declined", "declined")
        if file.lines and all(
            any(b.line == line.line and b.kind == "refund" for b in file.returns) for line in file.lines
        ):
            turn.say("return.already", order=order.id)
            self._instructions(turn, f"return:{file.returns[0].id}")
            return Report("explained", "explained")
        # Several things in one order: the customer says yes to all of them going back; one thing was named already.
        agreed = len(file.lines) == 1 or (turn.step == "confirm" and turn.answer == "yes")
        facts = facts_of(file, customer, confirmed=agreed, declared=declared)
        verdicts = [
            judge(ReturnGoods(customer=customer.id, order=order.id, line=line.line), facts, turn.pack.policy, turn.now)
            for line in file.lines
        ]
        refused = [verdict for verdict in verdicts if not verdict.allowed and verdict.missing != ("confirmation",)]
        if refused:
            verdict = refused[0]
            if verdict.effect == NEEDS_PERSON:
                return Person(f"return: {', '.join(verdict.rules)}")
            return self._refuse(turn, file, verdict.rules, verdict.deadline)
        if not agreed:
            turn.say("return.propose", order=order.id, items=item_names(turn, file))
            return Confirm("confirm")
        return_id = ""
        for line, verdict in zip(file.lines, verdicts, strict=True):
            return_id, writes = turn.records.announce_return(
                tenant=turn.tenant, order=order.id, line=line.line, kind="refund", case=turn.state.id, now=turn.now
            )
            turn.act("return", return_id, writes, rules=verdict.rules)
        turn.say(
            "return.accepted", order=order.id, items=item_names(turn, file),
            amount=turn.money(order.total, order.currency),
        )  # fmt: skip
        self._instructions(turn, f"return:{return_id}")
        return Report("return-announced")

    def _refuse(self, turn: Turn, file: OrderFile, rules: tuple[str, ...], deadline: datetime | None) -> Step:
        order = file.order
        if "return.late" in rules and deadline is not None:
            turn.say("return.late", order=order.id, date=turn.date(deadline), items=item_names(turn, file))
        elif "state.delivered" in rules:
            turn.say("return.not-delivered", order=order.id)
        elif "return.excluded" in rules:
            turn.say("return.excluded", items=item_names(turn, file))
        elif "once.item" in rules:
            turn.say("return.already", order=order.id)
        else:
            return Person(f"return: {', '.join(rules)}")
        return Report("declined", "refused")
