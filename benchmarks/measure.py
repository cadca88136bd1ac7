"""Commands in, what they cost out: whole processes, timed in turn, by the kernel's own accounts."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """What to time. `before` prepares a run and `after` looks at its traces, both untimed."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One run: CPU seconds (user and system), wall seconds, peak memory in MB."""

    cpu: float
    wall: float
    memory: float


Samples = dict[str, list[Sample]]


def in_turn(commands: Sequence[Command], rounds: int, warm_ups: int = 0) -> Samples:
    """Time every command once per round, so that drift of the machine touches all alike."""
    samples: Samples = {command.name: [] for command in commands}
    for number in range(-warm_ups, rounds):
        for command in commands:
            sample = timed(command)
            _tell(command, sample, number)
            if number >= 0:
                samples[command.name].append(sample)
    return samples


def timed(command: Command) -> Sample:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    command.before()
    environment = {**os.environ, **command.environment}
    # Nobody compiles segflow anew at every start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    log = command.folder / ".benchmark.log"
    with log.open("w+", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            cwd=command.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            said = output.read()[-4000:]
            raise RuntimeError(f"{' '.join(command.arguments)} ended in {status}:\n{said}")
    command.after()
    return Sample(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def cpu(samples: list[Sample]) -> float:
    return statistics.median(sample.cpu for sample in samples)


def wall(samples: list[Sample]) -> float:
    return statistics.median(sample.wall for sample in samples)


def memory(samples: list[Sample]) -> float:
    return max(sample.memory for sample in samples)


def cpu_ratio(ours: list[Sample], theirs: list[Sample]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True))


def wall_ratio(ours: list[Sample], theirs: list[Sample]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))


def _tell(command: Command, sample: Sample, number: int) -> None:
    turn = "warm-up" if number < 0 else f"round {number + 1}"
    line = f"{sample.cpu:8.2f} s CPU {sample.wall:8.2f} s {sample.memory:6.0f} MB"
    print(f"{turn:8} {line}  {command.name}", file=sys.stderr, flush=True)
