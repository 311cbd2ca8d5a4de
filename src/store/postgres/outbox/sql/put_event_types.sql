-- of each: $1 name, $2 description, $3 version, $4 schema, $5 example
INSERT INTO {outbox_event_types} AS t (name, description, version, schema, example)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS n (name, description, version, schema, example)
ORDER BY n.name
ON CONFLICT (name) DO UPDATE
SET description = excluded.description, version = excluded.version, schema = excluded.schema, example = excluded.example
