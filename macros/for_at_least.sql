{#
    True of somebody since the column's moment, for so many days or longer:
    14 d 0 h is in, one second less is out.
#}
{% macro for_at_least(column, days) -%}
    {{ column }} <= {{ as_of() }} - interval '{{ days }} days'
{%- endmacro %}
