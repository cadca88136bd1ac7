-- How far each feature got among those whose plan includes it.
-- Chart: bars (feature_name, tried_rate), or a table with all rates.
-- tried_rate: of the eligible. retained_rate: of who tried, used again four weeks later (who tried
-- only lately could not yet). lapsed_rate: of who tried, used it for a while and then stopped.
with feature_adoption as (
    select * from engagement.feature_adoption
),

counts as (
    select
        feature_id,
        feature_name,
        released_at,
        count(*) filter (where is_eligible) as eligible,
        count(*) filter (where is_eligible and is_tried) as tried,
        count(*) filter (where is_eligible and is_retained) as retained,
        count(*) filter (where is_eligible and is_lapsed) as lapsed,
        count(*) filter (where not is_eligible) as former_users
    from feature_adoption
    group by
        feature_id,
        feature_name,
        released_at
)

select
    feature_id,
    feature_name,
    released_at,
    eligible,
    tried,
    retained,
    lapsed,
    former_users,
    round(tried / nullif(eligible, 0), 4) as tried_rate,
    round(retained / nullif(tried, 0), 4) as retained_rate,
    round(lapsed / nullif(tried, 0), 4) as lapsed_rate

from counts

order by
    tried_rate desc,
    feature_id
