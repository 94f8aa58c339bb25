"""The proof is a program of its own (`proof`), which its tests import."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
