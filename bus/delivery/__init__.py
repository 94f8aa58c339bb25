"""How work is run: outcomes, key lanes, retry, dead letters, timers, the send ledger."""
