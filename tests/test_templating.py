"""What a template may name, and what it makes of it: Jinja as dbt has it."""

import pytest

from tests.conftest import MakeProject, Outcome, Project

SEGFLOW_YML = """\
name: demo
vars: {days: 30, stages: [trial, active], mode: fast}
packages: [{local: lib}]
models: {+schema: lifecycle, +materialized: table}
seeds: {+schema: seeds}
targets:
  dev: {path: warehouse/demo.duckdb, as_of: 2026-07-01 02:00:00}
  other: {path: warehouse/demo.duckdb, as_of: 2026-07-01 02:00:00}
"""

FILES = {
    "seeds/raw.csv": "id,kind\n1,b\n2,a\n3,b\n",
    "models/sources.yml": """\
sources:
  - name: crm
    tables: [{name: people, identifier: people_v2}]
""",
    "macros/basics.sql": """\
{% macro twice(n) %}{{ n * 2 }}{% endmacro %}
{% macro as_list(n) %}{{ return(range(n) | list) }}{% endmacro %}
{% macro total(n) %}{% set all = as_list(n) %}{{ return(all | sum) }}{% endmacro %}
{% macro sign(n) %}{% if n < 0 %}{{ return('minus') }}{% endif %}plus{% endmacro %}
{% macro boxed() %}[{{ caller() }}]{% endmacro %}
{% macro _hidden() %}hidden{% endmacro %}
{% macro tidy(n) %}{{ lib.tidy(n) }}!{% endmacro %}
{# {% macro commented_out() %}{% endmacro %} #}
""",
    "macros/dispatched.sql": """\
{% macro shout(word) %}{{ adapter.dispatch('shout', 'demo')(word) }}{% endmacro %}
{% macro default__shout(word) %}{{ word }}?{% endmacro %}
{% macro duckdb__shout(word) %}{{ word | upper }}!{% endmacro %}
{% macro whisper(word) %}{{ adapter.dispatch('whisper')(word) }}{% endmacro %}
{% macro default__whisper(word) %}{{ word | lower }}{% endmacro %}
""",
    "lib/segflow.yml": "name: lib\nvars: {days: 7, of_lib: x}\n",
    "lib/models/of_lib.sql": "select 1 as id",
    "lib/macros/lib.sql": """\
{% macro tidy(n) %}lib {{ n }}{% endmacro %}
{% macro only_lib() %}{{ tidy(1) }}{% endmacro %}
""",
}


@pytest.fixture
def demo(project: MakeProject) -> Project:
    return project(FILES, SEGFLOW_YML)


def compiled(demo: Project, template: str, *arguments: str) -> str:
    """What a template becomes as the only item of a model's SELECT."""
    demo.write({"models/made.sql": template})
    outcome = demo.segflow("compile", *arguments)
    assert outcome.code == 0, outcome.err
    return (demo.root / "target/compiled/demo/models/made.sql").read_text("utf-8").strip()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ref('raw')", "seeds.raw"),
        ('ref("raw")', "seeds.raw"),
        ("ref('demo', 'raw')", "seeds.raw"),
        ("ref('lib', 'of_lib')", "lifecycle.of_lib"),
        ("ref('raw').identifier", "raw"),
        ("source('crm', 'people')", "crm.people_v2"),
        ("this", "lifecycle.made"),
        ("this.schema ~ '.' ~ this.name", "lifecycle.made"),
        ("model.name", "made"),
        ("project_name", "demo"),
        ("target.name", "dev"),
        ("target.type", "duckdb"),
        ("var('days')", "30"),
        ("var('of_lib')", "x"),
        ("var('missing', 5)", "5"),
        ("var('missing', none)", "None"),
        ("var('stages') | join(', ')", "trial, active"),
        ("env_var('FROM_TEST')", "here"),
        ("env_var('FROM_TEST', 'otherwise')", "here"),
        ("env_var('NOT_SET', 'otherwise')", "otherwise"),
        ("is_incremental()", "False"),
        ("execute", "False"),
        ("run_query('select 1').rows | length", "0"),
        ("twice(4)", "8"),
        ("demo.twice(n=4)", "8"),
        ("lib.only_lib()", "lib 1!"),
        ("only_lib()", "lib 1!"),
        ("lib.tidy(2)", "lib 2"),
        ("tidy(2)", "lib 2!"),
        ("as_list(3)", "[0, 1, 2]"),
        ("as_list(3) | length", "3"),
        ("total(4)", "6"),
        ("sign(-1)", "minus"),
        ("sign(1)", "plus"),
        ("_hidden()", "hidden"),
        ("shout('hi')", "HI!"),
        ("whisper('HI')", "hi"),
        ("log('said')", ""),
        ("exceptions.warn('careful')", ""),
        ("config.get('materialized')", "table"),
        ("config.get('missing', 'nothing')", "nothing"),
        ("config.require('schema')", "lifecycle"),
        ("tojson({'a': [1]})", '{"a": [1]}'),
        ("fromjson('[1]')[0]", "1"),
        ("range(3) | list", "[0, 1, 2]"),
        ("dict(a=1).a", "1"),
        ("zip([1], [2]) | list", "[(1, 2)]"),
        ("'a' if twice is defined else 'b'", "a"),
        ("'a' if nothing is defined else 'b'", "b"),
    ],
)
def test_an_expression(
    expression: str, expected: str, demo: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_TEST", "here")
    found = compiled(demo, "select $${{ " + expression + " }}$$ as x")
    assert found == f"select $${expected}$$ as x"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("select {% do [].append(1) %}1 as x", "select 1 as x"),
        (
            "{% set all = [] %}{% for s in var('stages') %}{% do all.append(s) %}{% endfor %}"
            "select '{{ all | join }}' as x",
            "select 'trialactive' as x",
        ),
        ("select '{% call boxed() %}in{% endcall %}' as x", "select '[in]' as x"),
        (
            "select {% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}"
            "{{ i }},{% endfor %}",
            "select 0,1,2,",
        ),
        (
            "{% set found = namespace(n=0) %}{% for i in [1, 2] %}"
            "{% set found.n = found.n + i %}{% endfor %}select {{ found.n }} as x",
            "select 3 as x",
        ),
        ("select '{% raw %}{{ x }}{% endraw %}' as x", "select '{{ x }}' as x"),
        ("select 1 as x\n-- the end\n;\n", "select 1 as x\n-- the end"),
        ("select {{ as_of() }} as x", "select timestamp ':as_of' as x"),
    ],
    ids=str,
)
def test_a_template(template: str, expected: str, demo: Project) -> None:
    assert compiled(demo, template) == expected


def test_vars_of_the_command_line_win(demo: Project) -> None:
    template = "select '{{ var('days') }} {{ var('mode') }} {{ target.name }}' as x"
    assert compiled(demo, template) == "select '30 fast dev' as x"
    assert compiled(demo, template, "--vars", "{days: 3}") == "select '3 fast dev' as x"
    assert compiled(demo, template, "--target", "other") == "select '30 fast other' as x"


def test_a_var_that_a_template_changes_stays_the_same_for_the_next(demo: Project) -> None:
    demo.write({"models/before.sql": "{% do var('stages').append('x') %}select 1 as x"})
    template = "{% do var('stages').append('y') %}select '{{ var('stages') | join(' ') }}' as x"
    assert compiled(demo, template) == "select 'trial active' as x"


def test_config_in_a_file_wins_and_is_seen_by_its_template(demo: Project) -> None:
    demo.write({"models/made.yml": "models: [{name: made, config: {alias: one, tags: [a]}}]"})
    template = (
        "{{ config({'alias': 'two'}, tags='b') }}{{ config(meta={'owner': 'ann'}) }}"
        "select '{{ config.get('alias') }} {{ config.get('schema') }} {{ this }}' as x"
    )
    assert compiled(demo, template).strip() == "select 'two lifecycle lifecycle.two' as x"
    listed = demo.segflow("ls", "--select", "made", "--output", "json").json["results"]["nodes"]
    assert listed[0]["tags"] == ["a", "b"]


def test_warnings_of_a_template_are_shown_every_time(demo: Project) -> None:
    demo.write({"models/made.sql": "{{ exceptions.warn('careful') }}select 1 as x"})
    for _ in range(2):
        outcome = demo.segflow("compile")
        assert "careful" in outcome.out


ROWS = """{% set kinds = run_query('select distinct kind from ' ~ ref('raw') ~ ' order by 1') %}
{% set listed = kinds.columns[0].values() if execute else [] %}
select
    {% for kind in listed %}
    count(*) filter (where kind = '{{ kind }}') as n_{{ kind }},
    {% endfor %}
    count(*) as n
from {{ ref('raw') }}
"""


def test_a_select_can_depend_on_the_rows_of_a_query(demo: Project) -> None:
    demo.write(
        {"models/by_kind.sql": ROWS, "models/below.sql": "select n_a from {{ ref('by_kind') }}"}
    )
    demo.run()
    assert demo.rows("select n_a, n_b, n from lifecycle.by_kind") == [(1, 2, 3)]
    assert demo.rows("from lifecycle.below") == [(1,)]
    demo.write({"seeds/raw.csv": "id,kind\n1,a\n2,c\n"})
    demo.run()
    assert demo.rows("select n_a, n_c, n from lifecycle.by_kind") == [(1, 1, 2)]


def test_the_database_answers_when_a_model_runs(demo: Project) -> None:
    demo.write(
        {
            "models/made.sql": """select
    '{{ adapter.get_relation(schema='seeds', identifier='raw') }}' as there,
    '{{ adapter.get_relation(schema='seeds', identifier='none') }}' as not_there,
    {% for column in adapter.get_columns_in_relation(ref('raw')) %}
    '{{ column.name }} {{ column.data_type }}' as {{ column.quoted }},
    {% endfor %}
    {{ as_of() }} as moment
from {{ ref('raw') }}
limit 1
"""
        }
    )
    demo.run()
    found = demo.rows("select there, not_there, id, kind, moment::text from lifecycle.made")
    assert found == [("seeds.raw", "None", "id BIGINT", "kind VARCHAR", "2026-07-01 02:00:00")]


@pytest.mark.parametrize(
    "escape",
    [
        "''.__class__",
        "''.__class__.__mro__[1].__subclasses__()",
        "ref.__globals__",
        "ref.__code__",
        "config.__init__.__globals__",
        "config._scope",
        "adapter._names",
        "adapter._asked.catalog('x')",
        "exceptions._record",
        "demo._library",
        "twice._macro",
        "twice.__call__.__func__.__globals__",
        "'{0.__class__}'.format(this)",
        "this.__dict__",
        "(this | attr('__class__'))",
        "namespace.__init__.__globals__",
        "cycler.__init__.__globals__.os",
        "self.__init__.__globals__",
        "range(10 ** 9) | list",
        "env_var.__closure__",
    ],
)
def test_a_template_cannot_leave_its_sandbox(escape: str, demo: Project) -> None:
    demo.write({"models/made.sql": "select $${{ " + escape + " }}$$ as x"})
    outcome: Outcome = demo.segflow("compile")
    assert outcome.code == 2
    assert "models/made.sql:1: " in outcome.err
