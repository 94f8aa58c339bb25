"""The command `bench`."""

import importlib

import click

from deploy.cli.common import async_command, fail, json_option, print_json, print_table

__all__ = ["BENCHES", "bench"]

BENCHES = {
    "bus": "deploy.bench.bus",
    "kafka": "deploy.bench.kafka",
    "lanes": "deploy.bench.lanes",
    "path": "deploy.bench.path",
    "growth": "deploy.bench.growth",
    "soak": "deploy.bench.soak",
    "timers": "deploy.bench.timers",
}


@click.command()
@click.argument("name", type=click.Choice(tuple(BENCHES)))
@click.argument("minutes", type=click.FloatRange(0.5, 60 * 24 * 7), default=10.0)
@click.option("--bus", type=click.Choice(("embedded", "kafka")), default="embedded", help="Engine of path and soak.")
@json_option
@async_command
async def bench(name: str, minutes: float, bus: str, as_json: bool) -> None:
    """Measure this machine: figures of one run, beside their goals. MINUTES are those of soak.

    \b
    bus     durable appends, and the way from a producer to a handler, embedded
    kafka   what a record costs on Kafka, beside FastStream and the client alone
    lanes   ten thousand records of up to 5 ms, many keys at once
    path    from an accepted contact to a planned reply, the whole house
    growth  the same with a thousand and with a million cases stored
    soak    memory and open files after MINUTES of load
    timers  a hundred thousand timers, their lateness under load, and a SIGKILL

    Where Kafka or PostgreSQL is needed, servers are started for the run, or those are used that CONTACTBUS_TEST_KAFKA
    and CONTACTBUS_TEST_POSTGRES name.
    """
    from deploy.bench.rows import Options

    rows = await importlib.import_module(BENCHES[name]).run(Options(bus=bus, minutes=minutes))
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("measure", "value", "unit", "goal", "met"),
            [
                (
                    r["name"],
                    f"{r['value']:,}",
                    r["unit"],
                    "-" if r["goal"] is None else f"{r['goal']:,g}",
                    _met(r["met"]),
                )
                for r in rows
            ],
            empty="nothing was measured",
        )
    if not rows:
        fail("nothing was measured")


def _met(met: bool | None) -> str:
    return "-" if met is None else "yes" if met else "no"
