{# A date in the shop's time, 2017-12-31, as the UTC moment at which it began there. #}
{% macro shop_midnight(column) -%}
cast({{ column }} as timestamp) at time zone '{{ var("time_zone") }}' at time zone 'UTC'
{%- endmacro %}
