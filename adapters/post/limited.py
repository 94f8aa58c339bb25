"""Start a child process that cannot take more than it is given.

PDF and image files come from strangers, and the libraries that open them can be made to abort or to eat memory. So
they run in children with limits; a child that dies costs one page, never the adapter.
"""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["child_environment", "kill", "limit_cpu_from_now", "limit_memory", "python_module", "start"]

_ROOT = Path(__file__).resolve().parents[2]
_FILE_BYTES = 256 * 1024 * 1024
"""No child writes a larger file: temporary space is shared with everybody."""


def child_environment() -> dict[str, str]:
    """What a child may see of ours: where programs and models lie, one thread per library, nothing secret."""
    kept = {name: os.environ[name] for name in ("PATH", "TESSDATA_PREFIX", "LD_LIBRARY_PATH") if name in os.environ}
    search = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(search),
        "OMP_THREAD_LIMIT": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # The arenas of glibc would count against the address space of a child with threads.
        "MALLOC_ARENA_MAX": "1",
    }


def python_module(module: str) -> list[str]:
    """The command that runs a module of ours in a fresh interpreter (never a fork: typst hangs after one)."""
    return [sys.executable, "-P", "-m", module]


def start(
    command: Sequence[str], *, cpu_s: int | None = None, megabytes: int | None = None
) -> "subprocess.Popen[bytes]":
    """Start a child with pipes for input and output, in our process group, so that it ends with us.

    `cpu_s` and `megabytes` limit a foreign program from outside; modules of ours limit themselves page by page.
    """
    process = subprocess.Popen(  # noqa: S603 - the command is ours, never text from a letter
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _FILE_BYTES)]
    if cpu_s is not None:
        limits.append((resource.RLIMIT_CPU, cpu_s))
    if megabytes is not None:
        limits.append((resource.RLIMIT_AS, megabytes * 1024 * 1024))
    for name, wanted in limits:
        _lower(process.pid, name, wanted)
    return process


def _lower(pid: int, name: int, wanted: int) -> None:
    """Set a limit of a process, below whatever limit it inherited. A process that has ended needs none."""
    try:
        _, hard = resource.prlimit(pid, name)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.prlimit(pid, name, (value, value))
    except ProcessLookupError:
        return


def limit_memory(megabytes: int) -> None:
    """Limit the address space of this process."""
    _lower(0, resource.RLIMIT_AS, megabytes * 1024 * 1024)


def limit_cpu_from_now(seconds: int) -> None:
    """Give this process so many more CPU seconds; the kernel ends it when they are used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def kill(process: "subprocess.Popen[bytes]") -> None:
    """End a child and reap it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
