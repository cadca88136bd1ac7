{#
    At most so many days ahead, and not in the past.
    What ends at as_of has ended and is out; in 3 d 0 h is in, in 3 d 0 h 1 s is out.
#}
{% macro within_next(column, days) -%}
    (
        {{ column }} > {{ as_of() }}
        and {{ column }} <= {{ as_of() }} + interval '{{ days }} days'
    )
{%- endmacro %}
