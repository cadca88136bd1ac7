{# A data test of columns and of whole models: the expression holds, or something in it is null. #}
{% test expression_is_true(model, expression, column_name='') %}
select *
from {{ model }}
where not ({{ column_name }} {{ expression }})
{% endtest %}
