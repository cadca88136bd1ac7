{# Whole days from a moment to as_of: 0 on the first day. #}
{% macro whole_days_since(moment) -%}
    cast(date_diff('second', {{ moment }}, {{ as_of() }}) // 86400 as integer)
{%- endmacro %}
