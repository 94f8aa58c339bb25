"""Benchmarks: each module has `run(options) -> list of rows` (`deploy.bench.rows`)."""
