"""`python -m proof`: what `contactbus chaos` runs."""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from proof.house import Embedded, House
from proof.run import Report, prove

_SMALL_DISK_S = 300.0
_SHOWN = 20
"""Findings printed; all of them are in the JSON."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="contactbus chaos")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--bus", choices=("embedded", "kafka"), default="embedded")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--keep", type=Path, help="folder for logs and the ledger; else they stay only after a failure")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix=f"contactbus-chaos-{seed}-"))
    folder.mkdir(parents=True, exist_ok=True)

    def house_of(relay: tuple[str, int]) -> House:
        if chosen.bus == "kafka":
            from proof.cluster import Distributed

            return Distributed(folder, relay=relay)
        # A disk that can be filled is memory, so short runs, which shall meet a real disk, do without.
        return Embedded(folder, relay=relay, small_disk=chosen.seconds >= _SMALL_DISK_S and os.geteuid() == 0)

    # Told to leave, it takes its house with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = asyncio.run(
        prove(
            house_of,
            bus=chosen.bus,
            seed=seed,
            seconds=chosen.seconds,
            folder=folder,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    print(json.dumps(report.as_json(), indent=2, ensure_ascii=False) if chosen.as_json else table(report))
    if report.judgement.held and chosen.keep is None:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs and ledger: {folder}", file=sys.stderr)
    return 0 if report.judgement.held else 1


def table(report: Report) -> str:
    """For people."""
    found = report.judgement
    lines = [
        "",
        f"seed {report.seed} on {report.bus}, {report.seconds:.0f} s with the time to settle",
        "",
        f"{'channel':<10}{'offered':>9}{'acknowledged':>14}",
        *(f"{name:<10}{offered:>9}{taken:>14}" for name, (offered, taken) in sorted(report.by_channel.items())),
        f"{'all':<10}{report.offered:>9}{report.acknowledged:>14}",
        "",
        "disturbances: " + (", ".join(f"{kind} {n}" for kind, n in sorted(report.disturbances.items())) or "none"),
        f"kills {report.kills}, answered {found.answered}, with a person {found.with_a_person}, "
        f"shown once though sent twice under one id {found.twins}, longest wait {max(found.waits, default=0.0):.1f} s",
        "",
        f"lost {found.count('lost')}, doubled {found.count('doubled')}, out of order {found.count('out_of_order')}, "
        f"other {sum(f.kind not in ('lost', 'doubled', 'out_of_order') for f in found.findings)}",
        *(f"  I{f.invariant} {f.kind}: {f.customer} {f.what}" for f in found.findings[:_SHOWN]),
        *([f"  and {len(found.findings) - _SHOWN} more"] if len(found.findings) > _SHOWN else []),
        f"verdict: {report.verdict}  (again: contactbus chaos --bus {report.bus} --seed {report.seed})",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
