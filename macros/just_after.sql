{#
    The first whole second at which something is more than so many days ago: where a state
    that lasts "at most so many days" ends. The run's clock counts whole seconds.
#}
{% macro just_after(column, days) -%}
    date_trunc('second', {{ column }}) + interval '{{ days }} days' + interval '1 second'
{%- endmacro %}
