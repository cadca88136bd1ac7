{# Whom to write to about money: of the columns of ref('contacts'), billing contacts and owners. #}
{% macro handles_billing() -%}
    (is_billing_contact or role = 'owner')
{%- endmacro %}
