{#
    An amount in the company's currency. A rate is the value of one unit of its currency and
    holds from valid_from until the next one. No currency or no rate: null, which is unknown
    and never 0. The inner names keep the columns handed in from meaning those of the rates.
#}
{% macro to_value(amount, currency, at) -%}
    cast(round(
        case
            when {{ currency }} = '{{ var("currency") }}' then {{ amount }}
            else {{ amount }} * (
                select rates.unit_value
                from (
                    select
                        currency as rate_currency,
                        valid_from as rate_from,
                        lead(valid_from) over (
                            partition by currency order by valid_from
                        ) as rate_until,
                        cast(rate as decimal(18, 8)) as unit_value
                    from {{ ref('exchange_rates') }}
                ) as rates
                where
                    rates.rate_currency = {{ currency }}
                    and rates.rate_from <= {{ at }}
                    and (rates.rate_until > {{ at }} or rates.rate_until is null)
            )
        end,
        2
    ) as decimal(18, 2))
{%- endmacro %}
