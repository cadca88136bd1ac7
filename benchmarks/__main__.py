"""`python -m benchmarks [a b c d e f] [--small] [--no-dbt] [--data DIR]`: writes RESULTS.md."""

import argparse
from pathlib import Path

from benchmarks import compiling, dbt, deciding, full_run, next_day, overhead, segments
from benchmarks.results import keep, markdown

_HERE = Path(__file__).parent
_PARTS = {
    "a": full_run.measure,
    "b": compiling.measure,
    "c": overhead.measure,
    "d": next_day.measure,
    "e": segments.measure,
    "f": deciding.measure,
}


def main() -> None:
    """Read the command line, and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help="a, b, c, d, e, f; all of them unless named")
    parser.add_argument("--small", action="store_true", help="tiny sizes: prints, keeps nothing")
    parser.add_argument("--no-dbt", action="store_true", help="leave dbt out")
    parser.add_argument("--data", type=Path, default=_HERE / "data", help="where projects are made")
    said = parser.parse_args()
    unknown = set(said.parts) - set(_PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    if not said.no_dbt:
        dbt.install()
    data = said.data / ("small" if said.small else "full")
    for letter in said.parts or sorted(_PARTS):
        section = _PARTS[letter](data, said.small, not said.no_dbt)
        print(markdown(section))
        if not said.small:
            keep(section, _HERE / "RESULTS.md")


if __name__ == "__main__":
    main()
