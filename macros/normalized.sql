{# A name or an address as it is compared: trimmed, in lower case, null where nothing is left. #}
{% macro normalized(column) -%}
    nullif(lower(trim({{ column }})), '')
{%- endmacro %}
