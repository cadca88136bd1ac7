{# ISO 3166 alpha-2; the files write UK for GB. #}
{% macro country_code(column) -%}
case upper(trim({{ column }}))
    when 'UK' then 'GB'
    else nullif(upper(trim({{ column }})), '')
end
{%- endmacro %}
