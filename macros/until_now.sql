{#
    The rows of a relation that had happened by as_of, as a subquery to select from.
    Rows without a time are left out: nobody knows that they have happened.
#}
{% macro until_now(relation, column) -%}
    (
        select *
        from {{ relation }}
        where {{ column }} <= {{ as_of() }}
    ) as known
{%- endmacro %}
