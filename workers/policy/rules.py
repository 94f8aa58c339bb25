"""The rule rows: what each verdict can name. Figures stand in the pack's `policy.toml`, law in its source.

Product data, not legal advice: an operator signs the rows off before production.
"""

import msgspec

__all__ = ["ROWS", "Row"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`rank`: law, company. `effect` is what it does when its condition holds. `source` says where it stands."""

    id: str
    rank: str
    effect: str
    says: str
    source: str = "policy.toml"


def _rows(*rows: Row) -> dict[str, Row]:
    return {row.id: row for row in rows}


ROWS = _rows(
    Row(id="identity.proof", rank="law", effect="ask", source="GDPR Art. 5(1)(f), 32",
        says="nothing is read out and nothing moved before the writer proved to be the customer"),
    Row(id="identity.owner", rank="law", effect="forbid", source="GDPR Art. 5(1)(f)",
        says="an order belongs to its customer alone"),
    Row(id="confirmation.yes", rank="company", effect="ask", says="the customer has said yes to exactly this"),
    Row(id="amount.positive", rank="company", effect="forbid", says="an amount is more than nothing"),
    Row(id="amount.currency", rank="company", effect="forbid", says="money goes back in the currency it came in"),
    Row(id="amount.charged", rank="company", effect="forbid", says="never more back than the charge has left"),
    Row(id="method.original", rank="law", effect="forbid", source="Directive 2011/83/EU Art. 13(1)",
        says="money goes back the way it came"),
    Row(id="once.refund", rank="company", effect="forbid", says="one refund per charge and reason"),
    Row(id="once.item", rank="company", effect="forbid", says="one return of a kind per item"),
    Row(id="charge.duplicate", rank="law", effect="require", source="BGB 812; general restitution",
        says="what was paid twice for one order is paid back"),
    Row(id="charge.not-duplicate", rank="company", effect="forbid", says="there is no second charge for this order"),
    Row(id="price.shelf", rank="company", effect="permit", says="the price on the shelf is the price"),
    Row(id="price.no-difference", rank="company", effect="forbid", says="charged was what the shelf said"),
    Row(id="price.tolerance", rank="company", effect="needs_person", says="a very large difference is looked at"),
    Row(id="ceiling.software", rank="company", effect="needs_person", says="larger amounts are decided by a person"),
    Row(id="state.delivered", rank="company", effect="forbid", says="only what has arrived can go back"),
    Row(id="state.cancelled", rank="company", effect="forbid", says="the order was cancelled"),
    Row(id="withdrawal.law", rank="law", effect="require", source="Directive 2011/83/EU Art. 9; angrerettloven 20, 21",
        says="14 days from possession, without a reason, for purchases at a distance"),
    Row(id="return.window", rank="company", effect="permit", says="our own return window"),
    Row(id="return.late", rank="company", effect="forbid", says="law's period and our window are over"),
    Row(id="return.excluded", rank="law", effect="forbid", source="Directive 2011/83/EU Art. 16",
        says="not returnable once opened"),
    Row(id="exchange.window", rank="company", effect="permit", says="our exchange window"),
    Row(id="exchange.late", rank="company", effect="forbid", says="the exchange window is over"),
    Row(id="exchange.variant", rank="company", effect="ask", says="which variant is wanted"),
    Row(id="defect.guarantee", rank="law", effect="require",
        source="Directive 2019/771 Art. 10; BGB 437; forbrukerkjøpsloven 27, 29; Consumer Rights Act 2015 s. 23",
        says="faulty goods are put right at no cost"),
    Row(id="defect.late", rank="law", effect="needs_person", says="the guarantee period is over: a person looks"),
    Row(id="defect.refund-second", rank="law", effect="needs_person", source="BGB 437, 440; forbrukerkjøpsloven 32",
        says="money back comes after a repair or replacement failed: a person decides sooner ones"),
    Row(id="goodwill.within", rank="company", effect="permit", says="goodwill within its ceilings"),
    Row(id="goodwill.ceiling", rank="company", effect="needs_person", says="more goodwill is a person's to give"),
    Row(id="fact.unknown", rank="company", effect="ask", says="what is not known is asked for, never assumed"),
)  # fmt: skip
