-- Make this session's own tables: who and what the generated rows refer to, and devices' keys.
DROP TABLE IF EXISTS pg_temp.load_app, pg_temp.load_link, pg_temp.load_key,
    pg_temp.load_identifier;
CREATE TEMP TABLE load_app (
    place integer PRIMARY KEY, organization_id bigint, app_id bigint, platform text,
    bundle_id text, rules bigint[]
);
CREATE TEMP TABLE load_link (
    place integer, number integer, link_id bigint, campaign_id bigint, partner_id bigint,
    facts jsonb, PRIMARY KEY (place, number)
);
-- Of a device, or of a click: `number` is its own.
CREATE TEMP TABLE load_key (
    is_click boolean, number bigint, key uuid, lasting boolean
);
CREATE TEMP TABLE load_identifier (
    device_number bigint, kind text, key uuid, digests bigint[]
);
