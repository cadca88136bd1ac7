{# The contact id of today for an id as it was recorded: merges applied, chains followed. #}
{% macro resolved(column) -%}
    coalesce((
        select merged_contacts.contact_id
        from {{ ref('merged_contacts') }} as merged_contacts
        where merged_contacts.merged_contact_id = {{ column }}
    ), {{ column }})
{%- endmacro %}
