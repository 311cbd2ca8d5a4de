-- an object of texts, or nothing where it would be empty
ALTER TABLE {outbox_endpoints} ADD COLUMN metadata text;
ALTER TABLE {outbox_event_types} ADD COLUMN example text;
