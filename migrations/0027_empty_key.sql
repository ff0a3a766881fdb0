-- 27: an empty dedupe_key is refused, as an empty group and tenant are.
--
-- It counted as a key: of rows whose key was '' for want of one, only the first was enqueued. The
-- rest of the function is that of step 8, so it is not repeated here.

DO $$
DECLARE
    old  text := pg_get_functiondef('l2s.enqueue'::regproc);
    new  text := replace(replace(old,
        'octet_length(dedupe_key) > 1000', 'octet_length(dedupe_key) NOT BETWEEN 1 AND 1000'),
        'dedupe_key to have at most 1000 bytes', 'dedupe_key to have 1 to 1000 bytes');
BEGIN
    ASSERT new <> old;
    EXECUTE new;
END $$;
