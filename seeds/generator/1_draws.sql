-- Pseudo-random draws that depend on the seed, a key and a salt, and on nothing else: not on
-- threads, not on row order, not on DuckDB's own hash. Only exact arithmetic (integers, + - * /
-- and sqrt on doubles), so that every machine writes the same bytes.

create macro mix(x) as xor(x, x >> 16);

create macro scramble(x) as
    mix((mix((mix(x) * 73244475) & 4294967295) * 73244475) & 4294967295);

create macro salted(salt) as
    cast(md5_number_lower(concat(getvariable('seed'), ' ', salt)) & 4294967295 as bigint);

-- a whole number from 0 to 2^32 - 1
create macro draw(key, salt) as
    scramble(((key & 4294967295) * 668265261 + salted(salt)) & 4294967295);

-- a number in [0, 1)
create macro u(key, salt) as draw(key, salt) / 4294967296.0;

create macro pick(choices, key, salt) as choices[1 + draw(key, salt) % len(choices)];

create macro whole(x) as cast(floor(x) as bigint);

create macro squared(x) as x * x;

create macro cubed(x) as x * x * x;

-- The company opened on 1 January 2024; its data end with June 2026 and are read two hours later.
create macro opening() as timestamp '2024-01-01 00:00:00';

create macro data_end() as timestamp '2026-07-01 00:00:00';

create macro clock() as timestamp '2026-07-01 02:00:00';

create macro day_of(moment) as date_diff('day', opening(), moment);

create macro after(moment, days) as moment + to_seconds(whole(days * 86400));

create macro ago(days) as after(data_end(), -days);

-- a moment between two, by the share of the time that has passed
create macro part_way(first_moment, last_moment, share) as
    first_moment + to_seconds(whole(date_diff('second', first_moment, last_moment) * share));

create macro day_start(moment) as cast(date_trunc('day', moment) as timestamp);

-- A moment so many days ago. Business happens on weekdays: three of four week-end moments move
-- back to Friday, but what is recent keeps its hour.
create macro happened(days, key) as case
    when days > 45 and isodow(ago(days)) > 5 and u(key, 'workday') < 0.75
        then ago(days) - to_days(cast(isodow(ago(days)) - 5 as integer))
    else ago(days)
end;
