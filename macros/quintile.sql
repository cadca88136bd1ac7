{#
    1 to 5 by cut-points, 5 the highest; unlike ntile it gives equal values equal scores.
    The cut-points are a list of four, in order; no value, no score.
#}
{% macro quintile(value, cuts) -%}
    case
        when {{ value }} > {{ cuts }}[4] then 5
        when {{ value }} > {{ cuts }}[3] then 4
        when {{ value }} > {{ cuts }}[2] then 3
        when {{ value }} > {{ cuts }}[1] then 2
        when {{ value }} is not null then 1
    end
{%- endmacro %}
