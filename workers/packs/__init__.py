"""Company packs: what a company is called, how it speaks, what it deals with and what it allows, as data."""

from workers.packs.checks import Finding, check
from workers.packs.loader import Pack, PackError, load
from workers.packs.model import Article, Example, Issue, Words
from workers.packs.policy import Policy

__all__ = ["Article", "Example", "Finding", "Issue", "Pack", "PackError", "Policy", "Words", "check", "load"]
