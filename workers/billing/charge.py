"""A disputed charge: look at invoice, charges and payments of the order, explain, put right what is wrong."""

import msgspec

from workers.dialogue import ORDER, Confirm, NeedFacts, Person, Report, Step, Turn
from workers.dialogue.orders import open_order
from workers.policy import Refund, judge
from workers.policy.facts import facts_of
from workers.policy.model import NEEDS_PERSON
from workers.records import Charge, Customer, OrderFile

__all__ = ["DisputedCharge", "Wrong", "what_is_wrong"]


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the charges of an order. `reason`: duplicate or price_difference."""

    reason: str
    charge: Charge
    amount: int
    repaid: bool = False


def what_is_wrong(file: OrderFile) -> Wrong | None:
    """The error in the charges of an order, or None when they are what was agreed. Pure.

    A duplicate is a later charge of the same amount and currency beyond what the order costs. A price difference is a
    line charged above its shelf price.
    """
    by_amount: dict[tuple[int, str], Charge] = {}
    for charge in file.charges:
        earlier = by_amount.setdefault((charge.amount, charge.currency), charge)
        if earlier is charge:
            continue
        others = sum(other.amount for other in file.charges if other.id != charge.id)
        if others >= file.order.total:
            repaid = any(r.charge == charge.id and r.reason == "duplicate" for r in file.refunds)
            return Wrong(reason="duplicate", charge=charge, amount=charge.amount, repaid=repaid)
    difference = sum(
        (line.price - line.shelf_price) * line.quantity for line in file.lines if line.price > line.shelf_price
    )
    if difference > 0 and file.charges:
        charge = file.charges[0]
        repaid = any(refund.reason == "price_difference" for refund in file.refunds)
        return Wrong(reason="price_difference", charge=charge, amount=difference, repaid=repaid)
    return None


class DisputedCharge:
    """Procedure `disputed_charge`, and `explain_bill`, which finds the same errors when there are any."""

    facts = (ORDER,)
    needs_proof = True
    authorises = "charge.authorises"

    def __init__(self, name: str) -> None:
        self.name = name

    async def decide(self, turn: Turn) -> Step:
        file = await open_order(turn)
        if isinstance(file, NeedFacts):
            return file
        customer = turn.customer
        assert customer is not None
        wrong = what_is_wrong(file)
        if wrong is None:
            self._explain(turn, file)
            turn.say("charge.right", order=file.order.id)
            return Report("explained", "explained")
        if wrong.repaid:
            return self._repaid(turn, file, wrong)
        if turn.step == "confirm" and turn.answer == "no":
            turn.say("charge.declined", amount=self._money(turn, wrong))
            return Report("declined", "declined")
        # A yes counts for the amount that was named, not for whatever the books say a week later.
        same = turn.facts.get("proposed") == self._proposal_key(wrong)
        agreed = turn.authorised or (turn.step == "confirm" and turn.answer == "yes" and same)
        return self._settle(turn, file, customer, wrong, agreed=agreed)

    def _settle(self, turn: Turn, file: OrderFile, customer: Customer, wrong: Wrong, *, agreed: bool) -> Step:
        proposal = Refund(
            customer=customer.id, order=file.order.id, charge=wrong.charge.id, amount=wrong.amount,
            currency=wrong.charge.currency, reason=wrong.reason,
        )  # fmt: skip
        verdict = judge(proposal, facts_of(file, customer, confirmed=agreed), turn.pack.policy, turn.now)
        if verdict.effect == NEEDS_PERSON:
            self._explain_error(turn, file, wrong)
            amount = turn.money(wrong.amount, wrong.charge.currency)
            return Person(f"refund: {', '.join((amount, *verdict.rules))}", say="charge.person")
        if verdict.allowed:
            refund_id, writes = turn.records.refund(
                tenant=turn.tenant, charge=wrong.charge, amount=wrong.amount, reason=wrong.reason,
                case=turn.state.id, now=turn.now,
            )  # fmt: skip
            turn.act(
                "refund", refund_id, writes, amount=wrong.amount, currency=wrong.charge.currency, rules=verdict.rules
            )
            if turn.authorised:
                self._explain_error(turn, file, wrong)
            self._done(turn, file, wrong, refund_id)
            return Report("refunded")
        if verdict.missing != ("confirmation",):
            self._explain(turn, file)
            return Person(f"refund not possible: {', '.join(verdict.rules)}", say="charge.person")
        if not turn.spoken:
            self._explain(turn, file)
        self._explain_error(turn, file, wrong)
        turn.facts["proposed"] = self._proposal_key(wrong)
        turn.say("charge.propose", amount=self._money(turn, wrong), method=self._method(turn, wrong.charge))
        return Confirm("confirm")

    @staticmethod
    def _proposal_key(wrong: Wrong) -> str:
        return f"{wrong.reason} {wrong.charge.id} {wrong.amount} {wrong.charge.currency}"

    @staticmethod
    def _money(turn: Turn, wrong: Wrong) -> str:
        return turn.money(wrong.amount, wrong.charge.currency)

    @staticmethod
    def _method(turn: Turn, charge: Charge) -> str:
        return turn.phrase(f"method.{charge.method}", mark=charge.mark)

    def _explain(self, turn: Turn, file: OrderFile) -> None:
        """The bill line by line, and what was charged for it."""
        currency = file.order.currency
        rows = [turn.phrase("bill.title", order=file.order.id, date=turn.date(file.order.placed))]
        for invoice in file.invoices:
            for line in invoice.lines:
                product = file.products.get(line.product)
                name = product.name(turn.language) if product is not None else turn.phrase(f"bill.{line.kind}")
                rows.append(turn.phrase("bill.line", name=name, amount=turn.money(line.amount, currency)))
        if not file.invoices:
            # Bought at the till: the receipt has the lines.
            for item in file.lines:
                name = file.product_of(item).name(turn.language)
                amount = turn.money(item.price * item.quantity, currency)
                rows.append(turn.phrase("bill.line", name=name, amount=amount))
        rows.append(turn.phrase("bill.total", amount=turn.money(file.order.total, currency)))
        for charge in file.charges:
            rows.append(
                turn.phrase(
                    "bill.charge", date=turn.date(charge.at), amount=turn.money(charge.amount, charge.currency),
                    method=self._method(turn, charge),
                )
            )  # fmt: skip
        turn.say_text((" " if turn.spoken else "\n").join(rows))

    def _explain_error(self, turn: Turn, file: OrderFile, wrong: Wrong) -> None:
        if wrong.reason == "duplicate":
            turn.say(
                "charge.duplicate",
                amount=self._money(turn, wrong),
                date=turn.date(wrong.charge.at),
                order=file.order.id,
            )
            return
        line = next(line for line in file.lines if line.price > line.shelf_price)
        currency = file.order.currency
        turn.say(
            "charge.wrong-price", name=file.product_of(line).name(turn.language), order=file.order.id,
            price=turn.money(line.price, currency), shelf=turn.money(line.shelf_price, currency),
            amount=self._money(turn, wrong),
        )  # fmt: skip

    def _done(self, turn: Turn, file: OrderFile, wrong: Wrong, refund: str) -> None:
        until = turn.working_days(turn.pack.policy.refunds.arrives_working_days)
        turn.promise("refund", until, action=f"refund:{refund}")
        turn.say(
            "charge.refunded", amount=self._money(turn, wrong), date=turn.date(turn.now), order=file.order.id,
            method=self._method(turn, wrong.charge), until=turn.date(until),
        )  # fmt: skip

    def _repaid(self, turn: Turn, file: OrderFile, wrong: Wrong) -> Step:
        refund = next(refund for refund in file.refunds if refund.reason == wrong.reason)
        until = turn.working_days(turn.pack.policy.refunds.arrives_working_days, since=refund.at)
        if until > turn.now:
            turn.promise("refund", until, action=f"refund:{refund.id}")
        turn.say(
            "charge.repaid", amount=turn.money(refund.amount, refund.currency), date=turn.date(refund.at),
            order=file.order.id, method=self._method(turn, wrong.charge),
            until=turn.date(until),
        )  # fmt: skip
        return Report("explained", "explained")
