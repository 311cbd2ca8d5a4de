use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    endpoints, moves,
    session::{Session, begin, query},
};
use crate::{
    clock::{Millis, from_time},
    error::StoreError,
    observe,
    send::{
        AttemptRecord, DeliveryQuery, DeliveryRecord, DeliveryState, EndpointId, EndpointRecord, Recover, Recovered,
        SentDeliveryId,
        policy::{Missed, missed, show, waits_as},
    },
    store::{
        columns::{self, Columns, Listing, PENDING, looked, number, seq},
        sqlite::error::store_error,
    },
};

const SELECT: &str =
    "SELECT d.seq, m.id, m.event_type, d.endpoint, d.state, d.attempt, d.created_at, d.due_at, m.tenant FROM";

pub(super) async fn get(session: &mut Session<'_>, id: SentDeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
    let of_it = "{}outbox_deliveries d JOIN {}outbox_messages m ON m.seq = d.message WHERE d.seq = ?";
    let row = query(session.prefix, &format!("{SELECT} {of_it}"))
        .bind(seq(id))
        .fetch_optional(&mut *session.connection)
        .await;
    let record = row.and_then(|row| row.as_ref().map(columns::delivery).transpose());
    let Some(mut record) = record.map_err(|error| store_error("read a delivery", error))? else { return Ok(None) };
    let target = moves::of_endpoint(&mut session.connection, session.prefix, record.endpoint).await?;
    show(&mut record, target);
    Ok(Some(record))
}

pub(super) async fn list(
    session: &mut Session<'_>,
    tenant: &str,
    wanted: &DeliveryQuery,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let listing = Listing::new(moves::of_tenant(&mut session.connection, session.prefix, tenant).await?, wanted);
    let mut records = page(session, tenant, wanted, &listing.leaving, limit).await?;
    for coming in &listing.coming {
        records.extend(page(session, tenant, coming, &[], limit).await?);
    }
    Ok(listing.page(records, limit))
}

/// What is moved to another state, in steps, was not given up, so nothing of the wanted state is elsewhere.
pub(super) async fn list_all(
    session: &mut Session<'_>,
    state: Option<DeliveryState>,
    before: Option<SentDeliveryId>,
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let failed = |error| store_error("list deliveries of all tenants", error);
    let moves = moves::of_all(&mut session.connection, session.prefix).await?;
    let statement = statement_for_all(state);
    let mut before = before.map_or(i64::MAX, seq);
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let rows = query(session.prefix, &statement).bind(before).bind(left);
        let rows = rows.fetch_all(&mut *session.connection).await.map_err(failed)?;
        for row in &rows {
            before = row.try_get(0).map_err(failed)?;
            match columns::delivery(row) {
                Ok(mut record) => {
                    let target = moves.get(&record.endpoint).copied();
                    show(&mut record, target);
                    records.push(record);
                }
                Err(error) => observe::unreadable("delivery", &before, &error),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

fn statement_for_all(state: Option<DeliveryState>) -> String {
    let joined = "CROSS JOIN {}outbox_messages m ON m.seq = d.message WHERE";
    match state.map(number) {
        None => format!("{SELECT} {{}}outbox_deliveries d {joined} d.seq < ?1 ORDER BY d.seq DESC LIMIT ?2"),
        // The condition of the index, word for word.
        Some(state) => format!(
            "{SELECT} {{}}outbox_deliveries d INDEXED BY {{}}outbox_deliveries_given_up {joined} \
             d.state IN (4, 5) AND d.state = {state} AND d.seq < ?1 ORDER BY d.seq DESC LIMIT ?2"
        ),
    }
}

/// Reads a page of those that are in the wanted state in the table, without some endpoints.
async fn page(
    session: &mut Session<'_>,
    tenant: &str,
    wanted: &DeliveryQuery,
    without: &[String],
    limit: u32,
) -> Result<Vec<DeliveryRecord>, StoreError> {
    let failed = |error| store_error("list deliveries", error);
    let statement = statement(wanted, !without.is_empty());
    let mut before = wanted.before.map_or(i64::MAX, seq);
    let mut records = Vec::new();
    loop {
        let left = i64::from(limit) - records.len() as i64;
        let mut rows = query(session.prefix, &statement).bind(tenant.to_owned()).bind(before).bind(left);
        if let Some(endpoint) = wanted.endpoint {
            rows = rows.bind(endpoint.to_string());
        }
        if let Some(state) = wanted.state {
            rows = rows.bind(number(state));
        }
        if let Some(message) = &wanted.message {
            rows = rows.bind(message.clone());
        }
        if let Some(event_type) = &wanted.event_type {
            rows = rows.bind(event_type.clone());
        }
        if !without.is_empty() {
            rows = rows.bind(serde_json::to_string(without).expect("texts can be written as JSON"));
        }
        let rows = rows.fetch_all(&mut *session.connection).await.map_err(failed)?;
        for row in &rows {
            before = row.try_get(0).map_err(failed)?;
            match columns::delivery(row) {
                Ok(record) => records.push(record),
                Err(error) => observe::unreadable("delivery", &before, &error),
            }
        }
        // What was left out makes room for more.
        if (rows.len() as i64) < left || records.len() == limit as usize {
            return Ok(records);
        }
    }
}

/// There are only a few different texts, so that each is prepared once.
///
/// Only a page is read, however many deliveries there are: from an index that has those of each state in the order of
/// the list. If any state is wanted, the lists of all states are merged. A message has few deliveries.
fn statement(wanted: &DeliveryQuery, without: bool) -> String {
    let mut next = 4..;
    let mut number = |is_there: bool| is_there.then(|| next.next().unwrap_or_default());
    let (endpoint, state) = (number(wanted.endpoint.is_some()), number(wanted.state.is_some()));
    let (message, event_type) = (number(wanted.message.is_some()), number(wanted.event_type.is_some()));
    let without = match number(without) {
        Some(number) => format!(" AND d.endpoint NOT IN (SELECT value FROM json_each(?{number}))"),
        None => String::new(),
    };
    if let Some(message) = message {
        let mut text = format!(
            "{SELECT} {{}}outbox_messages m CROSS JOIN {{}}outbox_deliveries d ON d.message = m.seq \
             WHERE m.tenant = ?1 AND m.id = ?{message} AND d.seq < ?2"
        );
        for (column, number) in [("+d.endpoint", endpoint), ("+d.state", state), ("m.event_type", event_type)] {
            if let Some(number) = number {
                text.push_str(&format!(" AND {column} = ?{number}"));
            }
        }
        return format!("{text}{without} ORDER BY d.seq DESC LIMIT ?3");
    }
    let (mut index, mut whose) = match endpoint {
        Some(number) => ("endpoint".to_owned(), format!("d.endpoint = ?{number} AND d.tenant = ?1")),
        None => ("tenant".to_owned(), "d.tenant = ?1".to_owned()),
    };
    if let Some(number) = event_type {
        index.push_str("_type");
        whose.push_str(&format!(" AND d.event_type = ?{number}"));
    }
    let of_state = |state: String| {
        format!(
            "{SELECT} {{}}outbox_deliveries d INDEXED BY {{}}outbox_deliveries_{index} \
             CROSS JOIN {{}}outbox_messages m ON m.seq = d.message \
             WHERE {whose} AND d.state = {state} AND d.seq < ?2{without}"
        )
    };
    let lists: Vec<_> = match state {
        Some(number) => vec![of_state(format!("?{number}"))],
        None => (0..7).map(|state| of_state(state.to_string())).collect(),
    };
    format!("{} ORDER BY 1 DESC LIMIT ?3", lists.join(" UNION ALL "))
}

pub(super) async fn attempts(session: &mut Session<'_>, id: SentDeliveryId) -> Result<Vec<AttemptRecord>, StoreError> {
    let rows = query(
        session.prefix,
        "SELECT attempt, ended_at, status, error, millis, answer, manual FROM {}outbox_attempts WHERE delivery = ? ORDER BY seq",
    )
    .bind(seq(id))
    .fetch_all(&mut *session.connection)
    .await
    .map_err(|error| store_error("read attempts", error))?;
    let attempts = rows.iter().map(columns::attempt).collect::<Result<_, _>>();
    attempts.map_err(|error| store_error("read attempts", error))
}

pub(super) async fn resend(session: &mut Session<'_>, id: SentDeliveryId) -> Result<bool, StoreError> {
    let failed = |error| store_error("resend a delivery", error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, "resend a delivery");
    // Without its endpoint the new state would be NULL, so the row is not changed.
    let done = query(
        prefix,
        "UPDATE {}outbox_deliveries AS d SET resent_after = attempt, due_at = ?1, token = NULL, state = (\
         SELECT CASE WHEN e.disabled IS NULL THEN 0 ELSE 2 END FROM {}outbox_endpoints e WHERE e.id = d.endpoint) \
         WHERE d.seq = ?2 AND (d.state <> 1 OR d.due_at <= ?1) AND EXISTS (SELECT 1 FROM {}outbox_endpoints e WHERE e.id = d.endpoint) \
         AND EXISTS (SELECT 1 FROM {}outbox_messages m WHERE m.seq = d.message AND m.payload IS NOT NULL) RETURNING state",
    )
    .bind(now)
    .bind(seq(id))
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed)?;
    let state: Option<i64> = done.map(|row| row.try_get(0)).transpose().map_err(failed)?;
    if state == Some(PENDING) {
        endpoints::urge(&mut tx, prefix, seq(id)).await?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(state.is_some())
}

pub(super) async fn cancel(session: &mut Session<'_>, id: SentDeliveryId) -> Result<bool, StoreError> {
    let failed = |error| store_error("cancel a delivery", error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, "cancel a delivery");
    let done = query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = ?, token = NULL \
         WHERE seq = ? AND (state IN (0, 2) OR (state = 1 AND due_at <= ?))",
    )
    .bind(number(DeliveryState::Cancelled))
    .bind(seq(id))
    .bind(now)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

/// A page of a tenant's messages in the order in which they were dispatched, and what one endpoint has of them. No
/// payload is read: whether there is one is in the head of its row.
const PAGE: &str = "SELECT m.seq, m.event_type, m.labels, m.payload IS NOT NULL AS has_content, m.addressed, \
                    d.seq AS delivery, d.state FROM {}outbox_messages m \
                    LEFT JOIN {}outbox_deliveries d ON d.message = m.seq AND d.endpoint = ?1 \
                    WHERE m.tenant = ?2 AND (m.created_at, m.seq) > (?3, ?4) AND m.created_at < ?5 \
                    ORDER BY m.created_at, m.seq LIMIT ?6";

pub(super) async fn recover(
    session: &mut Session<'_>,
    id: EndpointId,
    recover: Recover,
    limit: u32,
) -> Result<Recovered, StoreError> {
    let failed = |error| store_error("recover an endpoint", error);
    let (now, prefix) = (session.now(), session.prefix);
    let mut tx = begin!(session, "recover an endpoint");
    let Some((endpoint, mut health)) = endpoints::find(&mut tx, prefix, id).await?.readable()? else {
        return Ok(Recovered::new(0, None));
    };
    let rows = page_of(&mut tx, prefix, &endpoint, recover, limit).await.map_err(failed)?;

    let (mut again, mut never_made, mut last) = (Vec::new(), Vec::new(), None);
    for row in &rows {
        let message = row.int("seq").map_err(failed)?;
        last = u64::try_from(message).ok();
        let of_it = looked(row).map_err(failed)?;
        match of_it.as_ref().and_then(|(made, looked)| Some((missed(&endpoint, looked)?, *made))) {
            Some((Missed::Ended, Some(made))) => again.push(made),
            Some((Missed::NeverMade, _)) => never_made.push(message),
            _ => {}
        }
    }
    let deliveries = (again.len() + never_made.len()) as u64;
    if deliveries > 0 {
        begin_again(&mut tx, prefix, &endpoint, (&again, &never_made), now).await.map_err(failed)?;
        health.pace.catching_up = true;
        endpoints::note(&mut tx, prefix, &endpoint, &health).await?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(Recovered::new(deliveries, last.filter(|_| rows.len() >= limit as usize)))
}

/// Reads a page of the messages to look at.
async fn page_of(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: &EndpointRecord,
    recover: Recover,
    limit: u32,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let since = from_time(recover.since);
    let start = match recover.after {
        None => (since, 0),
        Some(after) => {
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let row = query(prefix, "SELECT created_at FROM {}outbox_messages WHERE seq = ?")
                .bind(after)
                .fetch_optional(&mut *connection)
                .await?;
            // If the message was purged meanwhile, the messages from `since` are read again. Those that were recovered
            // already do not change.
            match row {
                Some(row) => (row.try_get(0)?, after),
                None => (since, 0),
            }
        }
    };
    query(prefix, PAGE)
        .bind(endpoint.id.to_string())
        .bind(endpoint.tenant.to_string())
        .bind(start.0)
        .bind(start.1)
        .bind(recover.until.map_or(i64::MAX, from_time))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await
}

/// Starts a new round for deliveries that exist, and creates those that were never made.
async fn begin_again(
    connection: &mut SqliteConnection,
    prefix: &str,
    endpoint: &EndpointRecord,
    (again, never_made): (&[i64], &[i64]),
    now: Millis,
) -> Result<(), sqlx::Error> {
    let state = number(waits_as(endpoint.disabled));
    let list = |numbers: &[i64]| serde_json::to_string(numbers).expect("numbers can be written as JSON");
    query(
        prefix,
        "UPDATE {}outbox_deliveries SET state = ?, resent_after = attempt, due_at = ? \
             WHERE seq IN (SELECT value FROM json_each(?))",
    )
    .bind(state)
    .bind(now)
    .bind(list(again))
    .execute(&mut *connection)
    .await?;
    query(
        prefix,
        "INSERT INTO {}outbox_deliveries (message, tenant, event_type, endpoint, state, due_at, created_at, order_key) \
             SELECT m.seq, ?, m.event_type, ?, ?, ?, ?, m.order_key \
             FROM json_each(?) j CROSS JOIN {}outbox_messages m ON m.seq = j.value",
    )
    .bind(endpoint.tenant.to_string())
    .bind(endpoint.id.to_string())
    .bind(state)
    .bind(now)
    .bind(now)
    .bind(list(never_made))
    .execute(&mut *connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PAGE, statement, statement_for_all};
    use crate::{
        send::{DeliveryQuery, DeliveryState, EndpointId},
        store::sqlite::outbox::schema::tests::plans,
    };

    #[tokio::test]
    async fn no_list_of_all_tenants_reads_and_sorts_all_there_is() {
        let states = [None, Some(DeliveryState::Refused), Some(DeliveryState::Exhausted)];
        let statements = states.map(statement_for_all);
        let plans = plans(&statements.each_ref().map(String::as_str)).await;
        for ((state, statement), plan) in states.iter().zip(&statements).zip(plans) {
            let wanted = if state.is_some() { "state=? AND rowid<?" } else { "rowid<?" };
            assert!(plan[0].starts_with("SEARCH d ") && plan[0].contains(wanted), "{statement}: {plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN")), "{plan:?}");
        }
    }

    /// For every query, and for any number of rows.
    #[tokio::test]
    async fn no_list_reads_and_sorts_all_there_is() {
        let mut statements = vec![PAGE.to_owned()];
        for asked in 0..32 {
            let wanted = DeliveryQuery {
                endpoint: (asked & 1 != 0).then(|| EndpointId::random().unwrap()),
                state: (asked & 2 != 0).then_some(DeliveryState::Pending),
                event_type: (asked & 4 != 0).then(|| "order.completed".to_owned()),
                message: (asked & 8 != 0).then(|| "order-7".to_owned()),
                ..DeliveryQuery::default()
            };
            statements.push(statement(&wanted, asked & 16 != 0));
        }
        let names: Vec<_> = statements.iter().map(String::as_str).collect();
        for (statement, plan) in statements.iter().zip(plans(&names).await) {
            let of_few = |step: &str| step.starts_with("SCAN json_each");
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") && !of_few(step)), "{statement}: {plan:?}");
            // Those of one message are few, and are sorted.
            let is_of_message = statement.contains("m.id = ?");
            assert!(is_of_message || !plan.iter().any(|step| step.contains("TEMP B-TREE")), "{statement}: {plan:?}");
            // Each condition is a column of the index, so nothing is read in vain.
            let reads: Vec<_> = plan.iter().filter(|step| step.starts_with("SEARCH d ")).collect();
            for read in reads.iter().filter(|_| !is_of_message && !statement.contains("LEFT JOIN")) {
                assert!(read.contains("state=? AND rowid<?"), "{statement}: {plan:?}");
            }
        }
    }
}
