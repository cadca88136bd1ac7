{# The company's calendar day of a UTC moment. #}
{% macro company_date(moment) -%}
    cast({{ moment }} at time zone 'UTC' at time zone '{{ var("time_zone") }}' as date)
{%- endmacro %}
