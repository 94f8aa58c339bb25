"""Returns: withdrawal and return, exchange, faulty and damaged goods."""
