"""The tables of what was shown, and the statements on them; personal data stand in ``user_id``."""

SHOWN = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = 'serving_events'::regclass AND attname = 'type') THEN
            ALTER TABLE serving_events ADD COLUMN IF NOT EXISTS type text NOT NULL DEFAULT 'rating';
            ALTER TABLE serving_events ADD COLUMN IF NOT EXISTS recommendation_id text;
            ALTER TABLE serving_events
                DROP CONSTRAINT IF EXISTS serving_events_user_id_parent_asin_time_ms_key;
            CREATE UNIQUE INDEX serving_events_each
                ON serving_events (user_id, parent_asin, time_ms, type);
            CREATE INDEX serving_events_owed
                ON serving_events (recommendation_id) WHERE recommendation_id IS NOT NULL;
        END IF;
        IF to_regclass('serving_impressions') IS NULL THEN
            CREATE TABLE serving_impressions (
                recommendation_id text PRIMARY KEY, time_ms bigint NOT NULL, user_id text,
                kind text NOT NULL, version text NOT NULL,
                variant text NOT NULL DEFAULT 'default', ordering text NOT NULL,
                items text[] NOT NULL, sources text[] NOT NULL, catalogue_items integer);
            CREATE INDEX serving_impressions_time ON serving_impressions (time_ms);
            CREATE INDEX serving_impressions_user ON serving_impressions (user_id);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_attribute
                       WHERE attrelid = 'serving_impressions'::regclass
                       AND attname = 'experiment') THEN
            ALTER TABLE serving_impressions
                ADD COLUMN experiment text, ADD COLUMN propensities real[],
                ADD COLUMN shadow_of text;
            CREATE INDEX serving_impressions_experiment
                ON serving_impressions (experiment) WHERE experiment IS NOT NULL;
        END IF;
    END $$
"""
"""For a store of any age, after the table of events; no lock is taken where all is there already.

``items``, ``sources`` and ``propensities`` (null where chance had no say) are in the order of
positions, the first being position 1. ``shadow_of`` names the answer that was shown instead.
"""
INSERT = """
    INSERT INTO serving_impressions (recommendation_id, time_ms, user_id, kind, version, variant,
        ordering, items, sources, experiment, propensities, shadow_of, catalogue_items)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (recommendation_id) DO NOTHING
"""
WAIT_LITTLE = "SET LOCAL lock_timeout = '250ms'"
"""Before INSERT: where the table is written anew impressions wait, and not all that is given."""
SELECT = """
    SELECT recommendation_id, time_ms, user_id, kind, version, variant, ordering, items, sources,
        experiment, propensities, shadow_of, catalogue_items FROM serving_impressions
"""
PURGE = """
    DELETE FROM serving_impressions WHERE recommendation_id IN (
        SELECT recommendation_id FROM serving_impressions WHERE time_ms < %s LIMIT %s)
    RETURNING 1
"""
NUMBERS = "SELECT min(number), max(number) FROM serving_events"
PURGE_LOOKS = """
    DELETE FROM serving_events
        WHERE number >= %s AND number < %s AND type = ANY(%s) AND time_ms < %s
"""
