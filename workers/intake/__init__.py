"""Intake: who is it, and which case does it belong to."""
