{# A date written day first, 31-12-2024, as midnight UTC; blank is null, anything else an error. #}
{% macro day_first(column) -%}
strptime(nullif(trim({{ column }}), ''), '%d-%m-%Y')
{%- endmacro %}
