"""Billing: disputed charges, bills explained, refunds followed."""
