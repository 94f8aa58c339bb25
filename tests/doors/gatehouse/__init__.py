"""A gateway for the tests of doors: the real adapters behind real sockets, on a spool and a store that can fail."""
