{#
    Of rows that keep their `read_at`: those read after this incremental model was last written.
    A rerun of the same as_of, or of an earlier one, takes what was read then or later once more.
#}
{% macro read_since_last(read_at) -%}
    {{ read_at }} > (
        select least(max(written.read_at), {{ as_of() }} - interval '1 second')
        from {{ this }} as written
    )
{%- endmacro %}
