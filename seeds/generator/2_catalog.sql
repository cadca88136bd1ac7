-- What the company sells, where its people live, and the kinds of payers it has.

create table raw_plans as
select * from (values
    ('solo', 'Solo', 1, 1),
    ('team', 'Team', 2, 10),
    ('business', 'Business', 3, 50),
    ('enterprise', 'Enterprise', 4, null)
) as plans (id, name, rank, seat_limit);

-- code: one letter, so that a person's features fit in a short string
create table features as
select * from (values
    ('a', 'dashboards', 'Dashboards', null),
    ('b', 'reports', 'Reports', null),
    ('c', 'exports', 'Exports', null),
    ('d', 'alerts', 'Alerts', null),
    ('e', 'automations', 'Automations', timestamp '2024-09-10 09:00:00'),
    ('f', 'api', 'API', null),
    ('g', 'roles', 'Roles and permissions', null),
    ('h', 'audit_log', 'Audit log', timestamp '2025-03-04 09:00:00'),
    ('i', 'sso', 'Single sign-on', timestamp '2025-10-14 09:00:00'),
    ('n', 'ai_assistant', 'AI assistant', timestamp '2026-06-12 09:00:00')
) as features (code, id, name, released_at);

create table plan_codes as
select * from (values
    ('solo', 'abcd'), ('team', 'abcdefn'), ('business', 'abcdefghn'), ('enterprise', 'abcdefghin')
) as plan_codes (plan_id, codes);

create table raw_features as
select
    id,
    name,
    released_at
from features;

create table raw_plan_features as
select
    plan_codes.plan_id,
    features.id as feature_id
from plan_codes
inner join features on contains(plan_codes.codes, features.code);

-- sold: how often a product is drawn
create table products as
select * from (values
    (1, 'Report templates', 'templates', 2900, null, 6),
    (2, 'Board deck templates', 'templates', 3900, null, 5),
    (3, 'Survey templates', 'templates', 1900, timestamp '2024-06-04 08:00:00', 3),
    (4, 'CRM connector', 'integrations', 9900, null, 6),
    (5, 'Chat connector', 'integrations', 4900, null, 5),
    (6, 'Warehouse connector', 'integrations', 19900, timestamp '2025-02-11 08:00:00', 2),
    (7, 'Starter course', 'training', 7900, null, 5),
    (8, 'Analyst course', 'training', 14900, null, 3),
    (9, 'Team workshop', 'training', 49000, timestamp '2025-09-02 08:00:00', 1),
    (10, 'Wall display', 'hardware', 24900, null, 2),
    (11, 'Button panel', 'hardware', 5900, null, 2),
    (12, 'AI connector', 'integrations', 12900, timestamp '2026-06-09 08:00:00', 3)
) as products (p, name, category, cents, launched_at, sold);

create table raw_products as
select
    'p' || p as id,
    name,
    category,
    launched_at
from products;

-- share: of 20 payers. Minutes east of UTC without summer time: good enough for office hours.
create table places as
select
    *,
    row_number() over (order by time_zone, copy) - 1 as slot
from (
    select
        *,
        unnest(range(share)) as copy
    from (values
        ('DE', 'de-DE', 'Europe/Berlin', 60, 'EUR', 6),
        ('FR', 'fr-FR', 'Europe/Paris', 60, 'EUR', 3),
        ('GB', 'en-GB', 'Europe/London', 0, 'EUR', 2),
        ('US', 'en-US', 'America/New_York', -300, 'USD', 3),
        ('US', 'en-US', 'America/Los_Angeles', -480, 'USD', 2),
        ('BR', 'pt-BR', 'America/Sao_Paulo', -180, 'USD', 2),
        ('IN', 'en-IN', 'Asia/Kolkata', 330, 'USD', 1),
        ('JP', 'ja-JP', 'Asia/Tokyo', 540, 'USD', 1)
    ) as places (country, language, time_zone, utc_offset, currency, share)
);

-- One row per kind of payer. weight: of 1,000 payers; company: the share of companies among them.
-- The ages are days before the data end, from-to: when the kind's story began (trial, first
-- payment, first order or first contact), when it ended (subscription or last order before a
-- pause), and when the payer came back. So every stage and segment has members at any size.
create table kinds as
select
    *,
    row_number() over (order by kind, copy) - 1 as slot
from (
    select
        *,
        unnest(range(weight)) as copy
    from (values
        ('trial_fresh', 'trial', 9, 0.65, 0.05, 3.4, null, null, null, null),
        ('trial_mid', 'trial', 12, 0.65, 3.5, 10.5, null, null, null, null),
        ('trial_ending', 'trial', 9, 0.65, 11.1, 13.9, null, null, null, null),
        ('trial_open', 'trial', 2, 0.65, 20, 60, null, null, null, null),
        ('trial_lapsed', 'trial', 12, 0.65, 15, 43, null, null, null, null),
        ('trial_old', 'trial', 32, 0.65, 45, 880, null, null, null, null),
        ('paid_new', 'paid', 12, 0.65, 1, 29, null, null, null, null),
        ('paid_steady', 'paid', 86, 0.65, 31, 880, null, null, null, null),
        ('paid_quiet', 'paid', 16, 0.65, 70, 880, null, null, null, null),
        ('paid_fading', 'paid', 14, 0.65, 90, 880, null, null, null, null),
        ('past_due', 'paid', 8, 0.65, 60, 880, null, null, null, null),
        ('cancelling', 'paid', 9, 0.65, 45, 880, null, null, null, null),
        ('left_recently', 'paid', 9, 0.65, 90, 880, 1, 29, null, null),
        ('left', 'paid', 20, 0.65, 220, 880, 32, 178, null, null),
        ('left_long_ago', 'paid', 20, 0.65, 400, 890, 185, 600, null, null),
        ('back_recently', 'paid', 8, 0.65, 260, 880, 65, 170, 1, 29),
        ('back', 'paid', 6, 0.65, 400, 880, 200, 350, 35, 150),
        ('shop_new', 'shop', 17, 0, 0.5, 29, 0.2, 29, null, null),
        ('shop_active', 'shop', 95, 0, 100, 880, 0.2, 88, null, null),
        ('shop_at_risk', 'shop', 35, 0, 200, 880, 92, 178, null, null),
        ('shop_left_recently', 'shop', 12, 0, 250, 880, 182, 208, null, null),
        ('shop_left', 'shop', 76, 0, 300, 890, 212, 700, null, null),
        ('shop_back', 'shop', 12, 0, 450, 880, 215, 400, 1, 29),
        ('shop_browser', 'shop', 39, 0, 1, 300, null, null, null, null),
        ('lead_large', 'lead', 14, 1, 2, 400, null, null, null, null),
        ('lead_small', 'lead', 50, 0.8, 2, 700, null, null, null, null),
        ('signed_up_now', 'lead', 14, 0.3, 0.1, 6.9, null, null, null, null),
        ('signed_up', 'lead', 53, 0.3, 8, 500, null, null, null, null),
        ('reader', 'reader', 229, 0, 1, 900, null, null, null, null),
        ('anonymous', 'anonymous', 65, 0, 0.1, 500, null, null, null, null),
        ('staff', 'staff', 5, 1, 300, 900, null, null, null, null)
    ) as kinds (
        kind, family, weight, company,
        since_from, since_to, until_from, until_to, back_from, back_to
    )
);

-- Names as written and as they look in a mailbox.
create macro first_names() as [
    ('Ada', 'ada'), ('Bruno', 'bruno'), ('Chloé', 'chloe'), ('Dmitri', 'dmitri'),
    ('Elif', 'elif'), ('Femke', 'femke'), ('Grace', 'grace'), ('Hiroshi', 'hiroshi'),
    ('Inês', 'ines'), ('Jürgen', 'juergen'), ('Kavya', 'kavya'), ('Łukasz', 'lukasz'),
    ('Maya', 'maya'), ('Noah', 'noah'), ('Olga', 'olga'), ('Priya', 'priya'),
    ('Quentin', 'quentin'), ('Rosa', 'rosa'), ('Søren', 'soeren'), ('Tomás', 'tomas'),
    ('Uma', 'uma'), ('Víctor', 'victor'), ('Wanda', 'wanda'), ('陽子', 'yoko'), ('Zoë', 'zoe')
];

create macro company_words() as [
    'Nord', 'Blue', 'Stein', 'Alto', 'Pine', 'River', 'Sol', 'Kite', 'Amber', 'Ferro', 'Luna',
    'Mira', 'Oak', 'Terra', 'Vela', 'Zephyr'
];

create macro company_trades() as [
    'wind', 'works', 'labs', 'foods', 'care', 'press', 'logic', 'bank', 'ware', 'port', 'mobil',
    'studio'
];
