-- The shop for add-ons: orders, their lines, and carts.

-- what is drawn for whom: each product as often as it sells, by category and over all
create table shelves as
with copies as (
    select
        p,
        category,
        unnest(range(sold)) as copy
    from products
)

select
    category,
    list(p order by p, copy) as choices
from copies
group by category
union all
select
    'all' as category,
    list(p order by p, copy) as choices
from copies;

create macro favourite(n) as
    pick(['templates', 'templates', 'integrations', 'training', 'hardware'], n, 'favourite');

-- before its launch a product is not sold: the first of its category is
create macro on_sale(product, moment) as case
    when product = 12 and moment < timestamp '2026-06-09 08:00:00' then 4
    when product = 9 and moment < timestamp '2025-09-02 08:00:00' then 7
    when product = 6 and moment < timestamp '2025-02-11 08:00:00' then 4
    when product = 3 and moment < timestamp '2024-06-04 08:00:00' then 1
    else product
end;

create macro money(cents) as cast(cents * 0.01 as decimal(18, 2));

create table placed as
with

buyers as (
    select
        n,
        currency,
        after(since_at, 0.09) as first_at,
        until_at as last_at,
        back_at,
        kind in ('shop_new', 'shop_active', 'shop_back') as is_recent,
        false as is_spread,
        case kind
            when 'shop_new' then 1 + whole(2.2 * squared(u(n, 'orders')))
            when 'shop_active' then 2 + whole(12 * cubed(u(n, 'orders')))
            else 1 + whole(6 * squared(u(n, 'orders')))
        end as orders
    from people
    where family = 'shop' and until_at is not null
    union all
    select
        n,
        currency,
        greatest(since_at, signed_up_at) as first_at,
        if(back_at is null, coalesce(until_at, data_end()), data_end()) as last_at,
        null as back_at,
        false as is_recent,
        true as is_spread,
        1 + whole(4 * squared(u(n, 'orders'))) as orders
    from people
    where
        family = 'paid'
        and role in ('owner', 'admin')
        and signed_up_at < coalesce(until_at, data_end())
        and u(n, 'buys') < 0.35
),

numbered as (
    select
        *,
        unnest(range(1, orders + if(back_at is null, 1, 2))) as j
    from buyers
)

select
    n,
    j,
    n * 32 + j as o,
    'o' || n || '_' || j as id,
    currency,
    case
        when j > orders then back_at
        when is_spread then part_way(first_at, last_at, u(n * 32 + j, 'ordered'))
        when j = orders then last_at
        when j = 1 then first_at
        else part_way(first_at, last_at, u(n * 32 + j, 'ordered'))
    end as ordered_at,
    u(n * 32 + j, 'discount') < 0.13
    -- some of those who left a cart lately had their discount already
    or (
        is_recent
        and j = orders + if(back_at is null, 0, 1)
        and u(n, 'open cart') < 0.13
        and u(n, 'had discount') < 0.4
    ) as has_discount,
    not is_spread and u(n * 32 + j, 'in cart') < 0.7 as is_from_cart
from numbered;

create table lines as
with

numbered as (
    select
        *,
        unnest(range(1, 2 + whole(3 * squared(u(o, 'lines'))))) as line
    from placed
),

chosen as (
    select
        numbered.*,
        on_sale(pick(shelves.choices, o * 4 + line, 'product'), ordered_at) as p,
        1 + (draw(o * 4 + line, 'quantity') % 7) // 6 as quantity
    from numbered
    inner join shelves
        on shelves.category = if(u(o * 4 + line, 'aisle') < 0.6, favourite(n), 'all')
)

select
    chosen.*,
    chosen.quantity * products.cents as cents
from chosen
inner join products using (p);

create table totals as
select
    o,
    cast(sum(quantity) as bigint) as pieces,
    cast(sum(cents) as bigint) as cents,
    min(p) as first_p
from lines
group by o;

create table raw_order_items as
select
    id || '_' || line as id,
    id as order_id,
    'p' || p as product_id,
    quantity,
    money(cents) as amount
from lines;

create table raw_orders as
with orders as (
    select
        placed.*,
        totals.cents,
        if(has_discount, totals.cents * (5 + 5 * (draw(o, 'off') % 3)) // 100, 0) as discount_cents,
        ordered_at + to_hours(cast(3 + draw(o, 'regret') % 120 as integer)) as regretted_at
    from placed
    inner join totals using (o)
)

select
    id,
    'c' || n as contact_id,
    if(is_from_cart, 'k' || n || '_' || j, null) as cart_id,
    ordered_at,
    if(u(o, 'cancelled') < 0.04 and regretted_at < data_end(), regretted_at, null) as cancelled_at,
    case
        when u(o, 'currency') < 0.004 then null
        when u(o, 'currency') < 0.03 then lower(currency)
        else currency
    end as currency,
    if(u(o, 'total') < 0.006, null, money(cents - discount_cents)) as total_amount,
    if(has_discount, pick(['WELCOME10', 'SUMMER15', 'COMEBACK10'], o, 'code'), null)
        as discount_code,
    if(has_discount, money(discount_cents), null) as discount_amount
from orders
union all
-- the shop's export repeats a few rows
select
    id,
    'c' || n as contact_id,
    if(is_from_cart, 'k' || n || '_' || j, null) as cart_id,
    ordered_at,
    null as cancelled_at,
    currency,
    money(cents - discount_cents) as total_amount,
    null as discount_code,
    if(has_discount, money(discount_cents), null) as discount_amount
from orders
where u(o, 'exported') < 0.005;

create table raw_carts as
with

left_behind as (
    select
        n,
        currency,
        created_at,
        u(n, 'open cart') as turn,
        case
            when u(n, 'open cart') < 0.13 then 3800 + whole(254000 * squared(u(n, 'idle')))
            when u(n, 'open cart') < 0.16 then 60 + whole(3400 * u(n, 'idle'))
            else 300000 + whole(15000000 * squared(u(n, 'idle')))
        end as idle_seconds
    from people
    where
        u(n, 'open cart') < 0.31
        and (
            family in ('shop', 'anonymous')
            or kind in ('signed_up_now', 'signed_up')
            or (family = 'paid' and role = 'owner' and u(n, 'carts') < 0.3)
        )
),

filled as (
    select
        *,
        clock() - to_seconds(idle_seconds) as updated_at,
        1 + draw(n, 'pieces') % 3 as pieces
    from left_behind
),

priced as (
    select
        filled.*,
        products.p,
        filled.pieces * products.cents as cents
    from filled
    inner join shelves on shelves.category = favourite(filled.n)
    inner join products on products.p = on_sale(pick(shelves.choices, n, 'cart'), updated_at)
    where filled.created_at < filled.updated_at
),

all_carts as (
    select
        'k' || n as id,
        n,
        part_way(greatest(created_at, updated_at - to_hours(2)), updated_at, u(n, 'cart'))
            as created_at,
        updated_at,
        null as ordered_at,
        if(turn between 0.28 and 0.31, updated_at, null) as emptied_at,
        if(turn between 0.28 and 0.31, 0, pieces) as item_count,
        if(turn between 0.28 and 0.31, null, p) as p,
        currency,
        if(turn between 0.28 and 0.31, 0, cents) as cents
    from priced
    union all
    select
        'k' || n || '_' || j as id,
        n,
        ordered_at - to_seconds(300 + draw(o, 'browsed') % 5000) as created_at,
        ordered_at as updated_at,
        ordered_at,
        null as emptied_at,
        pieces as item_count,
        first_p as p,
        currency,
        cents
    from placed
    inner join totals using (o)
    where is_from_cart
    union all
    -- a cart left on one device; its owner ordered on another
    select
        'k' || n || '_' || j || 'x' as id,
        n,
        ordered_at - to_seconds(2400 + draw(o, 'browsed') % 5000) as created_at,
        ordered_at - to_seconds(1800) as updated_at,
        null as ordered_at,
        null as emptied_at,
        pieces as item_count,
        first_p as p,
        currency,
        cents
    from placed
    inner join totals using (o)
    where not is_from_cart and u(o, 'elsewhere') < if(ordered_at > ago(2.5), 0.6, 0.04)
)

select
    id,
    'c' || n as contact_id,
    created_at,
    updated_at,
    ordered_at,
    emptied_at,
    item_count,
    'p' || p as first_product_id,
    currency,
    money(cents) as total_amount,
    'https://shop.acme.example/cart/' || id as url
from all_carts;
