"""Kafka for development and tests, and what its topics must look like."""
