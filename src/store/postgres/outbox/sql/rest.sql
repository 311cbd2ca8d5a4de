-- $1 endpoints, which are locked, $2 until when nothing of them is leased
UPDATE {outbox_endpoints} AS e SET ready_at = $2::bigint WHERE e.id = ANY ($1::text[])
