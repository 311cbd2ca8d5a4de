-- pairs of name and value, each on a line, or nothing where there are none
ALTER TABLE {outbox_endpoints} ADD COLUMN labels text;
ALTER TABLE {outbox_messages} ADD COLUMN labels text;
