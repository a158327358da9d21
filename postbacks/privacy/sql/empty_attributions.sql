-- Keep only the listed fields of credits, and of each candidate and rejection.
UPDATE attribution SET touchpoint = NULL, remarks = '[]',
    facts = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(facts)
             WHERE key = ANY(%(facts)s)),
    candidates = coalesce((
        SELECT jsonb_agg((
            SELECT coalesce(jsonb_object_agg(key, value), '{}')
            FROM jsonb_each(row) WHERE key = ANY(%(candidates)s)
        )) FROM jsonb_path_query(candidates, '$[*] ? (@.type() == "object")') AS row
    ), '[]'),
    rejections = coalesce((
        SELECT jsonb_agg((
            SELECT coalesce(jsonb_object_agg(key, value), '{}')
            FROM jsonb_each(row) WHERE key = ANY(%(candidates)s)
        )) FROM jsonb_path_query(rejections, '$[*] ? (@.type() == "object")') AS row
    ), '[]')
WHERE organization_id = %(organization)s AND install_id = ANY(%(ids)s)
