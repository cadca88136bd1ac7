{#
    For the `where` of tests on rows that are added and never changed: those that came in the last
    tested_days, and those of which nobody knows when. To test all there is, once:
    `segflow test --vars '{tested_days: 10000}'`.
#}
{% macro arrived_lately(arrived_at) -%}
    coalesce({{ arrived_at }} > {{ as_of() }} - interval '{{ var("tested_days") }} days', true)
{%- endmacro %}
