-- 14: whoever writes about a lease says which worker it is, and is believed only about its own.
--
-- The id of a lease proves a write, and no worker sees the ids of others. Should one come by such an id
-- all the same - an id that was noted too early, a program that mixes two stores up - it is still refused,
-- as if the lease were gone.
--
-- Of three functions only a condition changes: they are taken as they are, and written with it.

CREATE FUNCTION l2s.rewrite(function regprocedure, VARIADIC changes text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    definition text := pg_get_functiondef(function);
    place      integer;
BEGIN
    -- Pairs: what stands there, and what is to stand there.
    FOR place IN 1 .. cardinality(changes) BY 2 LOOP
        IF strpos(definition, changes[place]) = 0 THEN
            RAISE EXCEPTION 'expected function % to hold %', function, quote_literal(changes[place]);
        END IF;
        definition := replace(definition, changes[place], changes[place + 1]);
    END LOOP;
    EXECUTE definition;
    EXECUTE format('DROP FUNCTION %s', function);
END $$;

SELECT l2s.rewrite(
    'l2s.complete_each(bigint, l2s.completion[])',
    'complete_each(lease_id bigint', 'complete_each(worker_id bigint, lease_id bigint',
    'WHERE l.id = complete_each.lease_id FOR UPDATE',
    'WHERE l.id = complete_each.lease_id AND l.worker_id = complete_each.worker_id FOR UPDATE',
    'f.lease_id = complete_each.lease_id LIMIT 1',
    'f.lease_id = complete_each.lease_id AND f.worker_id = complete_each.worker_id LIMIT 1',
    's.lease_id = complete_each.lease_id LIMIT 1',
    's.lease_id = complete_each.lease_id AND s.worker_id = complete_each.worker_id LIMIT 1');
SELECT l2s.rewrite(
    'l2s.complete(bigint, l2s.completion[])',
    'complete(lease_id bigint', 'complete(worker_id bigint, lease_id bigint',
    'WHERE l.id = complete.lease_id FOR UPDATE',
    'WHERE l.id = complete.lease_id AND l.worker_id = complete.worker_id FOR UPDATE',
    'l2s.complete_each(complete.lease_id', 'l2s.complete_each(complete.worker_id, complete.lease_id');
SELECT l2s.rewrite(
    'l2s.release(bigint, bigint[])',
    'release(lease_id bigint', 'release(worker_id bigint, lease_id bigint',
    'WHERE l.id = release.lease_id FOR UPDATE',
    'WHERE l.id = release.lease_id AND l.worker_id = release.worker_id FOR UPDATE');
SELECT l2s.rewrite(
    'l2s.note_agreement(bigint, json)',
    'note_agreement(lease_id bigint', 'note_agreement(worker_id bigint, lease_id bigint',
    'r.lease_id = note_agreement.lease_id',
    'r.lease_id = note_agreement.lease_id AND r.worker_id = note_agreement.worker_id');
DROP FUNCTION l2s.rewrite(regprocedure, text[]);
