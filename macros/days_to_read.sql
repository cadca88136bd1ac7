{#
    What an incremental model that adds up company days has to read. Built anew: everything up
    to as_of. Later: whole days, those that got rows since the last run (late_days of grace for
    rows that arrive out of order) and those that were not over when they were last read.
    The model keeps `occurred_on` and `read_at`, the as_of at which it read a day.
#}
{% macro days_to_read(relation, occurred_at, arrived_at) -%}
    {% if not is_incremental() -%}
    {{ until_now(relation, occurred_at) }}
    {%- else -%}
    (
        with days as (
            select {{ company_date(occurred_at) }} as company_day
            from {{ until_now(relation, occurred_at) }}
            where
                {{ arrived_at }} >= (
                    select
                        least(coalesce(max(read_at), timestamp '1970-01-01'), {{ as_of() }})
                        - interval '{{ var("late_days") }} days'
                    from {{ this }}
                )

            union

            select occurred_on as company_day
            from {{ this }}
            group by occurred_on
            having {{ company_date('min(read_at)') }} <= occurred_on
        )

        select *
        from {{ until_now(relation, occurred_at) }}
        -- days in UTC first: they are cheap to find, and the company's reach one day further
        where
            cast({{ occurred_at }} as date) in (
                select unnest([company_day - 1, company_day, company_day + 1]) from days
            )
            and {{ company_date(occurred_at) }} in (select company_day from days)
    ) as known
    {%- endif %}
{%- endmacro %}
