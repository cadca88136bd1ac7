-- How many members of each segment a channel can reach, and how many it may write to for marketing.
-- Chart: stacked bars per segment (permitted, without_consent, not_reachable), filter on channel.
-- The three add up to members. without_consent is everyone who is reachable and held by a rule:
-- no consent, a refusal, or a segment that the channel suppresses.
select
    segment,
    channel,
    members,
    permitted,
    reachable - permitted as without_consent,
    members - reachable as not_reachable,
    round(permitted / members, 4) as permitted_share

from segments.reach

order by
    segment,
    channel
