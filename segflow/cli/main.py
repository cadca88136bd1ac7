"""The entry point: the version at once, everything else by way of `commands`."""

import sys

from segflow import __version__

_LISTS = ("--select", "-s", "--exclude")


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        sys.stdout.write(f"segflow {__version__}\n")
        return
    try:
        # Scripts ask for the version often; only a real command waits for the whole house to load.
        from segflow.cli.commands import cli

        sys.exit(cli(join_lists(arguments), standalone_mode=False) or 0)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


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
