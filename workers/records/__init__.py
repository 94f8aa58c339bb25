"""Systems of record: customers, orders, invoices, charges, refunds, returns, products; behind ports."""

from workers.records.model import (
    ON_TOP,
    Charge,
    Customer,
    Invoice,
    InvoiceLine,
    Order,
    OrderFile,
    OrderLine,
    Product,
    Refunded,
    Return,
)
from workers.records.ports import Records
from workers.records.sql import SqlRecords

__all__ = [
    "ON_TOP",
    "Charge",
    "Customer",
    "Invoice",
    "InvoiceLine",
    "Order",
    "OrderFile",
    "OrderLine",
    "Product",
    "Records",
    "Refunded",
    "Return",
    "SqlRecords",
]
