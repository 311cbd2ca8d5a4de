-- $1 event
SELECT e.seq, e.consumer, e.provider, e.tenant, e.delivery_id, e.event_type, e.state, e.attempt, e.accepted_at, e.due_at, e.reason,
       e.head, e.body, e.key
FROM {inbox_events} AS e WHERE e.seq = $1::bigint
