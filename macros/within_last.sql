{#
    At most so many days ago, and not in the future.
    Both edges belong to it: 7 d 0 h ago is in, 7 d 0 h 1 s ago is out.
#}
{% macro within_last(column, days) -%}
    {{ column }} between {{ as_of() }} - interval '{{ days }} days' and {{ as_of() }}
{%- endmacro %}
