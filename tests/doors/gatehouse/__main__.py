"""`PYTHONPATH=tests/doors python -m gatehouse --minutes 30`: the story of the dead brokers, at its full length."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from bus.telemetry import configure_logging
from gatehouse.outage import story


def main() -> int:
    parser = argparse.ArgumentParser(prog="gatehouse")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long every broker is dead")
    parser.add_argument("--rate", type=float, default=5.0, help="guests a second")
    parser.add_argument("--json", action="store_true", dest="as_json")
    chosen = parser.parse_args()
    configure_logging("ERROR")
    folder = Path(tempfile.mkdtemp(prefix="contactbus-outage-"))
    report = asyncio.run(
        story(folder, outage_s=chosen.minutes * 60, rate=chosen.rate, say=lambda line: print(line, file=sys.stderr))
    )
    if chosen.as_json:
        print(msgspec.json.format(msgspec.json.encode({"held": report.held, **msgspec.to_builtins(report)})).decode())
    else:
        print(
            f"{report.told_yes} told yes, {report.refused} refused; {report.arrived} arrived, {report.copies} copies; "
            f"missing {len(report.missing)}, doubled {len(report.doubled)}, out of order {len(report.out_of_order)}, "
            f"slow {report.slow or 0}; up to {report.most_waiting} waited, all published {report.drained_s} s after "
            f"the brokers' return: {'held' if report.held else 'BROKEN'}"
        )
    if report.held:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"left for a look: {folder}", file=sys.stderr)
    return 0 if report.held else 1


if __name__ == "__main__":
    raise SystemExit(main())
