{# A data test of keys: none is empty, begins or ends with a blank, and so misses its like in joins. #}
{% test trimmed(model, column_name) %}
select {{ column_name }}
from {{ model }}
where
    {{ column_name }} != trim({{ column_name }})
    or {{ column_name }} = ''
{% endtest %}
