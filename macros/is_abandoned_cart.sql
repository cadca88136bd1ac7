{#
    A cart last touched in the window: long enough ago that nobody is still shopping, and
    recently enough that a reminder makes sense. Both edges belong to it.
#}
{% macro is_abandoned_cart(updated_at) -%}
    {{ updated_at }} between {{ as_of() }} - interval '{{ var("cart_abandoned_hours") }} hours'
    and {{ as_of() }} - interval '{{ var("cart_idle_minutes") }} minutes'
{%- endmacro %}
