{# The data tests that every project has. Each selects the rows that are wrong. #}

{% test not_null(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} is null
{% endtest %}

{% test unique(model, column_name) %}
select
    {{ column_name }},
    count(*) as occurrences
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}
having count(*) > 1
{% endtest %}

{% test unique_combination(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as occurrences
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{% test accepted_values(model, column_name, values, quote=true) %}
select
    {{ column_name }},
    count(*) as occurrences
from {{ model }}
where
    {{ column_name }} not in (
        {%- for value in values -%}
            {{ "'" ~ (value | replace("'", "''")) ~ "'" if quote else value }}
            {{- ', ' if not loop.last }}
        {%- endfor -%}
    )
group by {{ column_name }}
{% endtest %}

{% test relationships(model, column_name, to, field) %}
select children.{{ column_name }}
from {{ model }} as children
where
    children.{{ column_name }} is not null
    and not exists (
        select 1 from {{ to }} as parents
        where parents.{{ field }} = children.{{ column_name }}
    )
{% endtest %}
