"""How records travel: the log port, the declared topics and the engines."""
