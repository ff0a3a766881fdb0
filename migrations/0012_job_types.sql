-- 12: what the database knows of job types, beside the models that they name.
--
-- A prompt may hold texts of a document's metadata, its fields. l2s.enqueue sees to it that they are
-- there, so that no document waits for hours and then ends for the want of a word. Workers name the
-- fields that their own job files hold when they claim, so an older file beside a newer one does no harm.

ALTER TABLE l2s.job_type ADD COLUMN prompt_fields text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN l2s.job_type.prompt_fields IS
'What its prompts hold of a document''s metadata: l2s.enqueue refuses a document without.';

-- Whether metadata has what the prompts of a job type hold of it.
CREATE FUNCTION l2s.check_prompt_fields(type l2s.job_type, metadata jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field text;
    value text;
    kind  text;
BEGIN
    FOREACH field IN ARRAY type.prompt_fields LOOP
        value := metadata ->> field;
        kind := jsonb_typeof(metadata -> field);
        IF kind = 'string' AND octet_length(value) BETWEEN 1 AND 1000 AND l2s.has_text(value) THEN
            CONTINUE;
        END IF;
        RAISE EXCEPTION 'expected metadata.% to be a text of 1 to 1000 bytes for job type %, got %',
            field, type.name, CASE
                WHEN kind IS NULL THEN 'nothing'
                WHEN kind <> 'string' THEN 'JSON of type ' || kind
                WHEN octet_length(value) > 1000 THEN format('%s bytes', octet_length(value))
                ELSE 'white space' END
            USING ERRCODE = 'invalid_parameter_value',
                HINT = format(
                    'The prompts of this job type hold it: metadata => ''{"%s": "…"}''.', field);
    END LOOP;
END $$;

-- The texts of metadata by these names, in their order; null for each that is none.
CREATE FUNCTION l2s.texts_of(metadata jsonb, names text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name  text;
    texts text[] := '{}';
BEGIN
    FOREACH name IN ARRAY names LOOP
        texts := texts || CASE
            WHEN jsonb_typeof(metadata -> name) = 'string' THEN metadata ->> name END;
    END LOOP;
    RETURN texts;
END $$;

-- Makes the job types of a jobs folder known, or their changes; types that are absent from
-- `definitions` stay as they are.
CREATE FUNCTION l2s.sync_job_types(definitions json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text := (
        SELECT d.name FROM json_to_recordset(definitions) AS d(name text)
        WHERE d.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' LIMIT 1);
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'expected a job type''s name to be letters, digits, ".", "_" and "-", got %',
            quote_literal(left(wrong, 100)) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT f.name INTO wrong FROM json_to_recordset(definitions) AS d(prompt_fields text[])
    CROSS JOIN unnest(d.prompt_fields) AS f(name)
    WHERE f.name !~ '^[A-Za-z_][A-Za-z0-9_-]{0,62}$' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'expected a field''s name to be letters, digits, "_" and "-", got %',
            quote_literal(left(wrong, 100)) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO l2s.encoder (name)
    SELECT DISTINCT d.encoder FROM json_to_recordset(definitions) AS d(encoder text)
    WHERE NOT EXISTS (SELECT FROM l2s.encoder r WHERE r.name = d.encoder) ORDER BY 1
    ON CONFLICT DO NOTHING;

    INSERT INTO l2s.job_type (
        name, encoder, mode, llm, slm, document_bytes, maximum_attempts, backoff, maximum_backoff,
        concurrent_documents, prompt_fields)
    SELECT
        d.name, r.id, d.mode, d.llm, d.slm, d.document_bytes, d.maximum_attempts,
        make_interval(secs => d.backoff), make_interval(secs => d.maximum_backoff),
        d.concurrent_documents, coalesce(d.prompt_fields, '{}')
    FROM json_to_recordset(definitions) AS d(
        name text, encoder text, mode text, llm text, slm text, document_bytes integer,
        maximum_attempts integer, backoff double precision, maximum_backoff double precision,
        concurrent_documents integer, prompt_fields text[])
    JOIN l2s.encoder r ON r.name = d.encoder
    ORDER BY d.name
    ON CONFLICT (name) DO UPDATE SET
        encoder = excluded.encoder, mode = excluded.mode, llm = excluded.llm, slm = excluded.slm,
        document_bytes = excluded.document_bytes, maximum_attempts = excluded.maximum_attempts,
        backoff = excluded.backoff, maximum_backoff = excluded.maximum_backoff,
        concurrent_documents = excluded.concurrent_documents,
        prompt_fields = excluded.prompt_fields;
    PERFORM l2s.wake();
END $$;
