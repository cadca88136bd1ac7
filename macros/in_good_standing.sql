{# Whom to offer more: contacts of accounts that owe nothing and have not cancelled. #}
{% macro in_good_standing(contacts) -%}
    ({{ contacts }}.past_due_since is null and {{ contacts }}.cancel_requested_at is null)
{%- endmacro %}
