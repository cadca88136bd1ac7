"""The repository's project as dbt takes it: the same SQL and tests, other files around them."""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from benchmarks import company, dbt
from benchmarks.dbt import ROOT

_REF = re.compile(r"\bref\(\s*'(\w+)'\s*\)")
_MACROS = """\
{% macro as_of() %}timestamp '{{ var("as_of") }}'{% endmacro %}

{% macro generate_schema_name(custom_schema_name, node) -%}
{{ custom_schema_name or target.schema }}
{%- endmacro %}
"""
_TEST = re.compile(r"(\{%-?\s*test (\w+)\(.*?endtest\s*-?%\})", re.DOTALL)
_DBT_TESTS = ("not_null", "unique", "accepted_values", "relationships")
_KEPT = ("models", "seeds", "unit_tests")


def write_project(folder: Path, raw: Path) -> None:
    """Models, seeds, macros and tests of the repository in dbt's form."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("models", "macros"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "macros" / "tests.sql").write_text(_own_tests(), "utf-8")
    (folder / "macros" / "as_of.sql").write_text(_MACROS, "utf-8")
    _write_seeds(folder / "seeds")
    _write_raw_models(folder / "models" / "raw", raw)
    _write_memberships(folder / "models" / "segments")
    sql = {path.stem: path.read_text("utf-8") for path in folder.glob("models/**/*.sql")}
    for path in [*folder.glob("models/**/*.yml"), *folder.glob("seeds/*.yml")]:
        _translate(path, sql)
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(_project()), "utf-8")
    dbt.write_profile(folder)


def _own_tests() -> str:
    """The generic tests that segflow has and dbt does not."""
    text = (ROOT / "segflow" / "compile" / "macros" / "tests.sql").read_text("utf-8")
    found = _TEST.findall(text)
    return "\n".join(test for test, name in found if name not in _DBT_TESTS)


def _write_seeds(folder: Path) -> None:
    folder.mkdir()
    for path in (ROOT / "seeds").iterdir():
        if path.suffix in (".csv", ".yml") and not path.name.startswith("raw_"):
            shutil.copy(path, folder)


def _write_raw_models(folder: Path, raw: Path) -> None:
    folder.mkdir()
    for table in company.raw_tables():
        select = f"select * from read_parquet('{company.files_of(table, raw)}')\n"
        (folder / f"{table}.sql").write_text(select, "utf-8")


def _write_memberships(folder: Path) -> None:
    """Who is in which segment, as one table: what a dbt project would make of segments."""
    names = sorted(path.stem for path in folder.glob("*.sql"))
    selects = [
        f"select '{name}' as segment, contact_id from {{{{ ref('{name}') }}}}" for name in names
    ]
    text = "{{ config(materialized='table') }}\n" + "\nunion all\n".join(selects) + "\n"
    (folder / "memberships.sql").write_text(text, "utf-8")


def _project() -> dict[str, Any]:
    """segflow.yml as a dbt_project.yml; only segments are called otherwise."""
    ours = yaml.safe_load((ROOT / "segflow.yml").read_text("utf-8"))
    models = ours["models"]["starter"]
    models["segments"]["+materialized"] = "view"
    models["+on_schema_change"] = "append_new_columns"
    models["raw"] = {"+schema": "raw", "+materialized": "view"}
    return {
        "name": "company",
        "profile": "benchmark",
        "vars": {**ours["vars"], "as_of": company.AS_OF},
        "models": {"company": models},
        "seeds": {"company": ours["seeds"]["starter"]},
    }


def _translate(path: Path, sql: dict[str, str]) -> None:
    """Keep what dbt knows; a file with nothing of it goes."""
    read = yaml.safe_load(path.read_text("utf-8")) or {}
    kept = {key: value for key, value in read.items() if key in _KEPT}
    if "unit_tests" in kept:
        kept["unit_tests"] = [test for test in kept["unit_tests"] if _is_even(test)]
    for test in kept.get("unit_tests", []):
        _translate_unit_test(test, sql[test["model"]])
    for entry in [*kept.get("models", []), *kept.get("seeds", [])]:
        _fill_in_wheres(entry)
    if kept:
        path.write_text(yaml.safe_dump(kept, sort_keys=False), "utf-8")
    else:
        path.unlink()


def _is_even(test: dict[str, Any]) -> bool:
    """Whether all rows expected have the same columns, as dbt wants them."""
    rows = test["expect"]["rows"]
    return isinstance(rows, str) or len({tuple(sorted(row)) for row in rows}) == 1


def _fill_in_wheres(entry: Any) -> None:
    """dbt knows no macros in the `where` of a test: they are filled in before."""
    if isinstance(entry, list):
        for item in entry:
            _fill_in_wheres(item)
    elif isinstance(entry, dict):
        for key, value in entry.items():
            if key == "where" and "{{" in value:
                entry[key] = _rendered(value)
            else:
                _fill_in_wheres(value)


def _rendered(text: str) -> str:
    ours = yaml.safe_load((ROOT / "segflow.yml").read_text("utf-8"))
    macros = (ROOT / "macros" / "within_last.sql").read_text("utf-8")
    environment = Environment()
    environment.globals["var"] = ours["vars"].__getitem__
    environment.globals["as_of"] = lambda: f"timestamp '{company.AS_OF}'"
    return environment.from_string(macros + text).render().strip()


def _translate_unit_test(test: dict[str, Any], sql: str) -> None:
    """What a test leaves unsaid: the clock is a macro, nothing is incremental, inputs are empty."""
    overrides = test.setdefault("overrides", {})
    macros = overrides.setdefault("macros", {})
    if "as_of" in overrides:
        macros["as_of"] = f"timestamp '{overrides.pop('as_of')}'"
    macros.setdefault("is_incremental", False)
    given = {entry["input"] for entry in test["given"]}
    for name in dict.fromkeys(_REF.findall(sql)):
        if f"ref('{name}')" not in given:
            test["given"].append({"input": f"ref('{name}')", "rows": []})
