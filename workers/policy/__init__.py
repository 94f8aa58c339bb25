"""Typed proposals in, verdicts out: what may be done for a customer, and which rule says so."""

from workers.policy.judge import judge, judge_line
from workers.policy.model import (
    Exchange,
    Facts,
    Goodwill,
    ItemFacts,
    PaymentFacts,
    Proposal,
    Refund,
    Repair,
    Replacement,
    ReturnGoods,
    Verdict,
)

__all__ = [
    "Exchange",
    "Facts",
    "Goodwill",
    "ItemFacts",
    "PaymentFacts",
    "Proposal",
    "Refund",
    "Repair",
    "Replacement",
    "ReturnGoods",
    "Verdict",
    "judge",
    "judge_line",
]
