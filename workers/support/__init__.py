"""Support: where an order is, and what can be answered from knowledge."""
