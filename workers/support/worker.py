"""The support department."""

from workers.dialogue import DepartmentWorker
from workers.support.order_status import OrderStatus

__all__ = ["SupportWorker"]


class SupportWorker(DepartmentWorker):
    """Group `support`."""

    group = "support"
    procedures = (OrderStatus(),)
