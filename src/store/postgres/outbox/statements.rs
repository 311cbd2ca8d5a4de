use crate::{
    send::DeliveryQuery,
    store::postgres::statement::{Statement, Tables},
};

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// What the outbox asks of the server: a file each.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
            pub(super) now: Statement,
            pub(super) tenant_lock: Statement,
            pub(super) endpoint: Statement,
            pub(super) endpoints: Statement,
            pub(super) endpoints_of_tenant: Statement,
            pub(super) delivery: Statement,
            pub(super) attempts: Statement,
            pub(super) event_types: Statement,
            pub(super) remove_event_type: Statement,
            deliveries: Vec<Statement>,
        }

        impl Statements {
            pub(super) fn new(tables: &Tables) -> Self {
                let statement = |text: &str| Statement::new(tables, text);
                Self {
                    $($name: statement(include_str!(concat!("sql/", stringify!($name), ".sql"))),)*
                    now: statement(
                        "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1::bigint AS now",
                    ),
                    tenant_lock: statement("SELECT pg_advisory_xact_lock($1::bigint)"),
                    endpoint: statement("SELECT * FROM {outbox_endpoints} WHERE id = $1::text"),
                    endpoints: statement(
                        "SELECT * FROM {outbox_endpoints} WHERE id > $1::text ORDER BY id LIMIT $2::bigint",
                    ),
                    endpoints_of_tenant: statement(
                        "SELECT * FROM {outbox_endpoints} WHERE tenant = $3::text AND id > $1::text \
                         ORDER BY id LIMIT $2::bigint",
                    ),
                    delivery: statement(
                        "SELECT d.*, m.id, m.event_type FROM {outbox_deliveries} AS d \
                         JOIN {outbox_messages} AS m ON m.seq = d.message WHERE d.seq = $1::bigint",
                    ),
                    attempts: statement(
                        "SELECT * FROM {outbox_attempts} WHERE delivery = $1::bigint ORDER BY delivery, seq",
                    ),
                    event_types: statement("SELECT * FROM {outbox_event_types} ORDER BY name"),
                    remove_event_type: statement(
                        "DELETE FROM {outbox_event_types} WHERE name = $1::text RETURNING 1 AS done",
                    ),
                    deliveries: Shape::all().map(|shape| statement(&shape.text())).collect(),
                }
            }
        }
    };
}

statements! {
    cancel,
    change,
    create,
    delete,
    dispatch,
    dispatch_to,
    erase_deliveries,
    erase_endpoints,
    erase_messages,
    erase_some,
    find,
    finish_read,
    finish_write,
    lock,
    look,
    move_waiting,
    note,
    page,
    purge_answers,
    purge_attempts,
    purge_deliveries,
    purge_held,
    purge_long_held,
    purge_messages,
    purge_orphans,
    purge_payloads,
    purge_pending,
    put_back,
    put_event_types,
    recover,
    resend,
    rest,
    take,
    take_back,
    undo,
    waiting,
}

impl Statements {
    /// The list of deliveries for a query. Its values: tenant, before, limit, and then endpoint, state and message where they
    /// are asked for.
    pub(super) fn deliveries(&self, query: &DeliveryQuery) -> &Statement {
        &self.deliveries[Shape::of(query).index()]
    }
}

/// What a query asks for, beside the tenant.
#[derive(Debug, Clone, Copy)]
struct Shape {
    endpoint: bool,
    state: bool,
    message: bool,
    event_type: bool,
}

impl Shape {
    fn of(query: &DeliveryQuery) -> Self {
        Self {
            endpoint: query.endpoint.is_some(),
            state: query.state.is_some(),
            message: query.message.is_some(),
            event_type: query.event_type.is_some(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|bits| Self {
            endpoint: bits & 1 != 0,
            state: bits & 2 != 0,
            message: bits & 4 != 0,
            event_type: bits & 8 != 0,
        })
    }

    fn index(self) -> usize {
        usize::from(self.endpoint)
            | usize::from(self.state) << 1
            | usize::from(self.message) << 2
            | usize::from(self.event_type) << 3
    }

    /// However many deliveries there are, a page of them is read: from an index that has each state's in their order. Where any
    /// state will do, a page of each is read, and the newest of these are taken. Those of one message are few. By event type a page is
    /// as much as has to be read until it is full.
    ///
    /// The bounds are compared as rows, and the order names all columns of the index: with one column fixed the planner may walk
    /// the table from its end, and hope to meet what is asked for soon.
    fn text(self) -> String {
        let mut next = 4..;
        let mut number = || next.next().unwrap_or_default();
        let endpoint = self.endpoint.then(|| format!("${}::text", number()));
        let state = self.state.then(|| format!("${}::bigint", number()));
        if self.message {
            let message = number();
            let endpoint = endpoint.map(|endpoint| format!(" AND d.endpoint = {endpoint}")).unwrap_or_default();
            let state = state.map(|state| format!(" AND d.state = {state}")).unwrap_or_default();
            let event_type =
                if self.event_type { format!(" AND m.event_type = ${}::text", number()) } else { String::new() };
            return format!(
                "SELECT d.*, m.id, m.event_type FROM {{outbox_messages}} AS m \
                 JOIN {{outbox_deliveries}} AS d ON d.message = m.seq \
                 WHERE m.tenant = $1::text AND m.id = ${message}::text AND d.seq < $2::bigint{endpoint}{state}{event_type} \
                 ORDER BY d.seq DESC LIMIT $3::bigint"
            );
        }
        // A scalar, which no planner makes a join of: that would read all messages of the type.
        let event_type = self.event_type.then(|| {
            let of_it = "(SELECT m.event_type FROM {outbox_messages} AS m WHERE m.seq = d.message LIMIT 1)";
            format!(" AND {of_it} = ${}::text", number())
        });
        let event_type = event_type.unwrap_or_default();
        let (whose, who, of_tenant) = match &endpoint {
            Some(endpoint) => ("endpoint", &**endpoint, " AND d.tenant = $1::text"),
            None => ("tenant", "$1::text", ""),
        };
        let page = |state: &str| {
            format!(
                "(SELECT d.* FROM {{outbox_deliveries}} AS d \
                 WHERE (d.{whose}, d.state, d.seq) < ({who}, {state}, $2::bigint) \
                 AND (d.{whose}, d.state) >= ({who}, {state}){of_tenant}{event_type} \
                 ORDER BY d.{whose} DESC, d.state DESC, d.seq DESC LIMIT $3::bigint)"
            )
        };
        let pages = match state {
            Some(state) => page(&state),
            None => {
                let pages: Vec<_> = (0..7).map(|state| page(&state.to_string())).collect();
                pages.join(" UNION ALL ")
            }
        };
        format!(
            "SELECT d.*, m.id, m.event_type FROM (SELECT * FROM ({pages}) AS d ORDER BY d.seq DESC LIMIT $3::bigint) AS d \
             CROSS JOIN LATERAL (SELECT m.id, m.event_type FROM {{outbox_messages}} AS m WHERE m.seq = d.message LIMIT 1) \
             AS m ORDER BY d.seq DESC"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn each_query_has_the_statement_of_its_shape() {
        for (index, shape) in Shape::all().enumerate() {
            assert_eq!(shape.index(), index);
            let asked = [shape.endpoint, shape.state, shape.message, shape.event_type];
            let values = asked.into_iter().filter(|asked| *asked).count();
            let text = shape.text();
            assert!(text.contains(&format!("${}", 3 + values)), "{text}");
            assert!(!text.contains(&format!("${}", 4 + values)), "{text}");
        }
    }
}
