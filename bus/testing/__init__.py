"""Shipped proofs: conformance suites for log engines and adapters, a fake clock."""
