{#
    More than so many days ago, the opposite of within_last:
    30 d 0 h ago is out, 30 d 0 h 1 s ago is in.
#}
{% macro longer_ago(column, days) -%}
    {{ column }} < {{ as_of() }} - interval '{{ days }} days'
{%- endmacro %}
