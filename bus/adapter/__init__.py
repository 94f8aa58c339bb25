"""What integrators build on: contract, hosting, tokens, loop guard, redaction."""
