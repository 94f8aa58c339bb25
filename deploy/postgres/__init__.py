"""PostgreSQL for development and tests."""
