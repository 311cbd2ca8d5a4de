use sqlx::Connection;

use super::session::{Session, begin, query};
use crate::{error::StoreError, store::sqlite::error::store_error};

/// In an order in which nothing new is created: without endpoints nothing is leased, and messages are removed when no
/// delivery of the tenant is left.
const STEPS: [&str; 5] = [
    "DELETE FROM {}outbox_endpoints WHERE id IN (SELECT id FROM {}outbox_endpoints WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM {}outbox_attempts WHERE seq IN (SELECT a.seq FROM (\
     SELECT seq FROM {}outbox_deliveries WHERE tenant = ?1 ORDER BY state, seq LIMIT ?2) d \
     CROSS JOIN {}outbox_attempts a ON a.delivery = d.seq LIMIT ?2)",
    "DELETE FROM {}outbox_deliveries WHERE seq IN (SELECT d.seq FROM (\
     SELECT seq FROM {}outbox_deliveries WHERE tenant = ?1 ORDER BY state, seq LIMIT ?2) d \
     WHERE NOT EXISTS (SELECT 1 FROM {}outbox_attempts a WHERE a.delivery = d.seq))",
    "DELETE FROM {}outbox_messages WHERE seq IN (SELECT seq FROM {}outbox_messages WHERE tenant = ?1 \
     AND NOT EXISTS (SELECT 1 FROM {}outbox_deliveries WHERE tenant = ?1) LIMIT ?2)",
    "DELETE FROM {}outbox_stats WHERE tenant = ?1 AND (hour, endpoint, ended, bucket) IN (\
     SELECT hour, endpoint, ended, bucket FROM {}outbox_stats WHERE tenant = ?1 LIMIT ?2)",
];

/// Each step takes the write lock again, so that others do not wait for all steps.
pub(super) async fn erase(session: &mut Session<'_>, tenant: &str, limit: u32) -> Result<u64, StoreError> {
    let failed = |error| store_error("erase a tenant", error);
    let prefix = session.prefix;
    let mut removed = 0;
    for statement in STEPS {
        let mut tx = begin!(session, "erase a tenant");
        let done = query(prefix, statement)
            .bind(tenant.to_owned())
            .bind(i64::from(limit))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        removed += done.rows_affected();
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::STEPS;
    use crate::store::sqlite::outbox::schema::tests::plans;

    #[tokio::test]
    async fn nothing_of_other_tenants_is_read() {
        for plan in plans(&STEPS).await {
            assert!(!plan.iter().any(|step| step.starts_with("SCAN") && !step.starts_with("SCAN d")), "{plan:?}");
        }
    }
}
