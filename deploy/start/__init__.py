"""The start page: what a newcomer sees, and the doors to try."""

from deploy.start.services import StartServices
from deploy.start.web import StartPages

__all__ = ["StartPages", "StartServices"]
