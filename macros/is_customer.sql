{# The stages of somebody who pays or buys now. #}
{% macro is_customer(stage) -%}
    {{ stage }} in ('new', 'active', 'at_risk', 'past_due', 'reactivated')
{%- endmacro %}
