-- How far each feature got among the contacts whose plan includes it.
-- Chart: bars (feature_name, tried_rate), or a table with all rates.
-- tried_rate: of the eligible. retained_rate: of who tried, used again four weeks later (who tried
-- only lately could not yet). lapsed_rate: of who tried, used it for a while and then stopped.
-- A contact can be both retained and lapsed.
select
    feature_id,
    feature_name,
    released_at,
    eligible_count,
    tried_count,
    retained_count,
    lapsed_count,
    round(tried_count / nullif(eligible_count, 0), 4) as tried_rate,
    round(retained_count / nullif(tried_count, 0), 4) as retained_rate,
    round(lapsed_count / nullif(tried_count, 0), 4) as lapsed_rate

from engagement.features

order by
    tried_rate desc nulls last,
    feature_id asc
