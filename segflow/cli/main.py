"""The entry point: the version at once, everything else by way of `commands`."""

import gc
import os
import signal
import sys
import threading

from segflow import __version__

_LISTS = ("--select", "-s", "--exclude")
_STOPS = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"segflow {__version__}\n")
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    threading.Thread(target=_end_when_stopped, daemon=True).start()
    # Nearly all that a command makes is of use until it ends: there is little garbage to look for.
    gc.set_threshold(100_000)
    # Scripts ask for the version often; only a real command waits for the whole house to load.
    from segflow.cli.commands import cli

    sys.exit(cli(join_lists(arguments), standalone_mode=False) or 0)


def _end_when_stopped() -> None:
    """End the process at the first Ctrl-C, wherever it is: every step can be killed at any instant.

    An exception in the main thread would have to find its way through statements that are running,
    and through libraries that make another error of it.
    """
    number = signal.sigwait(_STOPS)
    # Where it is not loaded, or only in part so far, nothing works on a copy.
    abandon = getattr(sys.modules.get("segflow.build.workspace"), "abandon_runs", None)
    copies = abandon() if abandon else 0
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    said = "interrupted: nothing was published" if copies else "interrupted"
    sys.stderr.write(f"{show_cursor}{said}\n")
    sys.stderr.flush()
    os._exit(128 + number)


def join_lists(arguments: list[str]) -> list[str]:
    """`--select a b` as `--select "a b"`: like dbt, lists end at the next option."""
    joined: list[str] = []
    gathering = False
    for argument in arguments:
        if argument.startswith("-"):
            gathering = argument in _LISTS
            joined.append(argument)
        elif gathering and joined[-1] not in _LISTS:
            joined[-1] += f" {argument}"
        else:
            joined.append(argument)
    return joined
