"""The sales department."""

from workers.dialogue import DepartmentWorker
from workers.sales.offers import AcceptOffer, DeclineOffer

__all__ = ["SalesWorker"]


class SalesWorker(DepartmentWorker):
    """Group `sales`. Product questions are answered from articles (`workers.dialogue.articles`), or by a person."""

    group = "sales"
    procedures = (AcceptOffer(), DeclineOffer())
