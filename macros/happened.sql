{# A moment that may lie after as_of: null until it has happened. #}
{% macro happened(column) -%}
    case when {{ column }} <= {{ as_of() }} then {{ column }} end
{%- endmacro %}
