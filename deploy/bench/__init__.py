"""Benchmarks: each module has `run() -> list of rows {name, value, unit, goal, met}`."""
