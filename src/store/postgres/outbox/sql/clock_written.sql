-- When something was last written, by the clock of that moment: the end of an attempt, a message, and when the last lease ends. Each
-- is the end of an index.
SELECT greatest(
           (SELECT max(a.ended_at) FROM {outbox_attempts} AS a),
           (SELECT m.created_at FROM {outbox_messages} AS m ORDER BY m.seq DESC LIMIT 1)
       ) AS written,
       (SELECT max(d.due_at) FROM {outbox_deliveries} AS d WHERE d.state = 1 AND d.attempt > 0) AS lease_ends
