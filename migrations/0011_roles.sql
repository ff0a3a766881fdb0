-- 11: roles with no more rights than they need.
--
-- Nobody but the owner of the schema writes to its tables. What a role may do it does through
-- functions that run with the owner's rights, each with its search_path pinned. The roles are the
-- server's, so they are made and given their rights by l2s.grant_roles, which l2s migrate calls.

-- The functions that roles call, and which roles do.
CREATE TABLE l2s.permission (
    role     text NOT NULL,
    function text NOT NULL,
    PRIMARY KEY (role, function)
);
COMMENT ON TABLE l2s.permission IS 'What l2s.grant_roles lets whom call.';
INSERT INTO l2s.permission (role, function)
SELECT p.role, unnest(p.functions) FROM (VALUES
    ('l2s_producer', ARRAY['enqueue', 'completed', 'caller', 'sees_all', 'open_groups']),
    ('l2s_reader', ARRAY[
        'text_of', 'completed', 'caller', 'sees_all', 'group_ids', 'count_minutes', 'open_groups',
        'count_finished', 'is_at_home']),
    ('l2s_worker', ARRAY[
        'register', 'sync_job_types', 'claim', 'has_work', 'fall_idle', 'tell_load', 'heartbeat',
        'complete', 'note_agreement', 'release', 'rescue', 'pause_crashing', 'promote',
        'finish_groups', 'settle_groups', 'maintain', 'open_groups', 'count_finished', 'retire',
        'adopt_cluster']),
    ('l2s_admin', ARRAY[
        'cancel', 'cancel_group', 'pause', 'resume', 'retry', 'maintain', 'sync_job_types',
        'text_of', 'caller', 'sees_all', 'group_ids', 'count_minutes', 'open_groups',
        'count_finished', 'completed', 'is_at_home', 'adopt_cluster'])
) AS p(role, functions);

-- Makes the roles that are missing and gives all of them their rights, as far as the caller may;
-- returns what somebody with more rights has to do.
CREATE FUNCTION l2s.grant_roles() RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name text;
    call      record;
BEGIN
    -- PostgreSQL lets everybody call a new function.
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA l2s FROM PUBLIC;
    FOREACH role_name IN ARRAY ARRAY['l2s_producer', 'l2s_reader', 'l2s_worker', 'l2s_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RETURN NEXT format('CREATE ROLE %I NOLOGIN;', role_name);
                    CONTINUE;
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- Another database of this server was faster.
            END;
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA l2s TO %I', role_name);
        FOR call IN
            SELECT f.oid::regprocedure AS name FROM pg_proc f
            JOIN l2s.permission p ON p.function = f.proname
            WHERE f.pronamespace = 'l2s'::regnamespace AND p.role = role_name
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', call.name, role_name);
        END LOOP;
        EXECUTE format('GRANT SELECT ON l2s.migration TO %I', role_name);
        IF role_name = 'l2s_producer' THEN
            EXECUTE format('GRANT SELECT ON l2s.jobs, l2s.groups TO %I', role_name);
        ELSIF role_name = 'l2s_worker' THEN
            -- What it counts and shows. Texts it gets by its claims only, and the ids of leases, which
            -- prove that a batch is its own, by these too.
            EXECUTE format(
                'GRANT SELECT ON l2s.worker, l2s.encoder, l2s.job_type, l2s.setting, l2s.cluster TO %I',
                role_name);
            FOR call IN
                SELECT a.attrelid::regclass AS name, string_agg(quote_ident(a.attname), ', ') AS columns
                FROM pg_attribute a
                WHERE a.attrelid IN ('l2s.queue'::regclass, 'l2s.lease'::regclass, 'l2s.result'::regclass)
                  AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (
                      CASE a.attrelid
                          WHEN 'l2s.lease'::regclass THEN '{id}'
                          WHEN 'l2s.queue'::regclass THEN '{lease_id}'
                          ELSE '{lease_id,output}' END::text[])
                GROUP BY a.attrelid
            LOOP
                EXECUTE format('REVOKE SELECT ON %s FROM %I', call.name, role_name);
                EXECUTE format('GRANT SELECT (%s) ON %s TO %I', call.columns, call.name, role_name);
            END LOOP;
        ELSE
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA l2s TO %I', role_name);
        END IF;
        IF role_name = 'l2s_admin' THEN
            EXECUTE format('GRANT UPDATE ON l2s.setting TO %I', role_name);
        END IF;
    END LOOP;
END $$;
