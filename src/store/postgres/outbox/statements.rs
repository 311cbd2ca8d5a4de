use crate::{
    send::{DeliveryQuery, DeliveryState},
    store::{
        columns::number,
        postgres::statement::{Statement, Tables},
    },
};

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// The statements of the outbox, each in its own file.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
            pub(super) now: Statement,
            pub(super) tenant_lock: Statement,
            pub(super) endpoint: Statement,
            pub(super) endpoints: Statement,
            pub(super) endpoints_of_tenant: Statement,
            pub(super) delivery: Statement,
            pub(super) attempts: Statement,
            pub(super) message: Statement,
            pub(super) messages: Statement,
            pub(super) event_types: Statement,
            pub(super) remove_event_type: Statement,
            pub(super) move_end: Statement,
            pub(super) moves: Statement,
            pub(super) all_moves: Statement,
            pub(super) moved_on: Statement,
            /// All, an endpoint's, a tenant's, an endpoint's of a tenant.
            pub(super) stats: [Statement; 4],
            deliveries: Vec<Statement>,
            /// In any state, refused, exhausted.
            all_deliveries: [Statement; 3],
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
                        "SELECT d.*, m.id, v.target FROM {outbox_deliveries} AS d \
                         JOIN {outbox_messages} AS m ON m.seq = d.message \
                         LEFT JOIN {outbox_moves} AS v ON v.endpoint = d.endpoint WHERE d.seq = $1::bigint",
                    ),
                    attempts: statement(
                        "SELECT * FROM {outbox_attempts} WHERE delivery = $1::bigint ORDER BY delivery, seq",
                    ),
                    message: statement(
                        "SELECT * FROM {outbox_messages} WHERE tenant = $1::text AND id = $2::text",
                    ),
                    messages: statement(
                        "SELECT seq, id, event_type, tenant, version, labels, order_key, happened_at, created_at FROM {outbox_messages} \
                         WHERE tenant = $1::text AND (created_at, seq) < ($2::bigint, $3::bigint) \
                         ORDER BY created_at DESC, seq DESC LIMIT $4::bigint",
                    ),
                    event_types: statement("SELECT * FROM {outbox_event_types} ORDER BY name"),
                    remove_event_type: statement(
                        "DELETE FROM {outbox_event_types} WHERE name = $1::text RETURNING 1 AS done",
                    ),
                    move_end: statement("DELETE FROM {outbox_moves} WHERE endpoint = $1::text"),
                    moves: statement("SELECT endpoint, target FROM {outbox_moves} WHERE tenant = $1::text"),
                    all_moves: statement("SELECT endpoint, target FROM {outbox_moves}"),
                    moved_on: statement(
                        "SELECT endpoint FROM {outbox_moves} WHERE endpoint = ANY($1::text[]) AND target = 0",
                    ),
                    stats: [
                        "",
                        " AND s.endpoint = $3::text",
                        " AND s.tenant = $3::text",
                        " AND s.endpoint = $3::text AND s.tenant = $4::text",
                    ]
                    .map(|whose| statement(&stats(whose))),
                    deliveries: Shape::all().map(|shape| statement(&shape.text())).collect(),
                    all_deliveries: [None, Some(DeliveryState::Refused), Some(DeliveryState::Exhausted)]
                        .map(|state| statement(&all_deliveries(state.map(number)))),
                }
            }
        }
    };
}

statements! {
    cancel,
    cancel_in_turn,
    change,
    clock_deliveries,
    clock_endpoints,
    clock_written,
    backlog_note,
    backlog_noted,
    backlog_samples,
    count_waiting,
    count_waiting_of_endpoint,
    count_waiting_of_tenant,
    create,
    delete,
    dispatch,
    dispatch_to,
    erase_deliveries,
    erase_endpoints,
    erase_messages,
    erase_some,
    erase_stats,
    find,
    finish_read,
    finish_read_all,
    finish_write,
    finish_write_all,
    lock,
    lock_idle,
    lock_of_delivery,
    look,
    move_begin,
    move_on,
    move_waiting,
    note,
    page,
    purge_answers,
    purge_attempts,
    purge_content,
    purge_died,
    purge_judge,
    purge_long_held,
    purge_rows,
    purge_stats,
    purge_strays,
    purge_unblocked,
    purge_window,
    put_back,
    put_event_types,
    ready,
    ready_of_endpoint,
    ready_of_tenant,
    recover,
    resend,
    rest,
    settle,
    take,
    take_back,
    undo,
    waiting,
}

impl Statements {
    /// The list of deliveries for a query. Its values: tenant, before, limit, and then endpoint, state, message and event type where
    /// they are asked for, and the endpoints that are left out where there are some.
    pub(super) fn deliveries(&self, query: &DeliveryQuery, without: bool) -> &Statement {
        &self.deliveries[Shape::of(query, without).index()]
    }
}

impl Statements {
    /// The list of deliveries of all tenants. Its values: before, limit.
    pub(super) fn all_deliveries(&self, state: Option<DeliveryState>) -> &Statement {
        let [any, refused, exhausted] = &self.all_deliveries;
        match state {
            Some(DeliveryState::Refused) => refused,
            Some(DeliveryState::Exhausted) => exhausted,
            _ => any,
        }
    }
}

/// From the index of what was given up, whose condition is there word for word. With one column fixed the planner may walk the table from
/// its end: see [`Shape::text`].
fn all_deliveries(state: Option<i64>) -> String {
    let (whose, order) = match state {
        None => ("d.seq < $1::bigint".to_owned(), ""),
        Some(state) => (
            format!("d.state IN (4, 5) AND (d.state, d.seq) < ({state}, $1::bigint) AND d.state >= {state}"),
            "d.state DESC, ",
        ),
    };
    format!(
        "SELECT d.*, m.id FROM (SELECT * FROM {{outbox_deliveries}} AS d WHERE {whose} \
         ORDER BY {order}d.seq DESC LIMIT $2::bigint) AS d \
         CROSS JOIN LATERAL (SELECT m.id FROM {{outbox_messages}} AS m WHERE m.seq = d.message LIMIT 1) AS m \
         ORDER BY d.seq DESC"
    )
}

/// How many attempts ended in an hour, and how.
fn stats(whose: &str) -> String {
    format!(
        "SELECT s.hour, s.ended, s.bucket, sum(s.count)::bigint AS count FROM {{outbox_stats}} AS s \
         WHERE s.hour >= $1::bigint AND s.hour < $2::bigint{whose} \
         GROUP BY s.hour, s.ended, s.bucket ORDER BY s.hour, s.ended, s.bucket"
    )
}

/// What a query asks for, beside the tenant.
#[derive(Debug, Clone, Copy)]
struct Shape {
    endpoint: bool,
    state: bool,
    message: bool,
    event_type: bool,
    /// Whether some endpoints are left out.
    without: bool,
}

impl Shape {
    fn of(query: &DeliveryQuery, without: bool) -> Self {
        Self {
            endpoint: query.endpoint.is_some(),
            state: query.state.is_some(),
            message: query.message.is_some(),
            event_type: query.event_type.is_some(),
            without,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..32).map(|bits| Self {
            endpoint: bits & 1 != 0,
            state: bits & 2 != 0,
            message: bits & 4 != 0,
            event_type: bits & 8 != 0,
            without: bits & 16 != 0,
        })
    }

    fn index(self) -> usize {
        usize::from(self.endpoint)
            | usize::from(self.state) << 1
            | usize::from(self.message) << 2
            | usize::from(self.event_type) << 3
            | usize::from(self.without) << 4
    }

    /// Only a page is read, however many deliveries there are: from an index that has those of each state in their
    /// order. If any state is wanted, a page of each is read, and the newest of these are returned. A message has few
    /// deliveries.
    ///
    /// The bounds are compared as rows, and the order names all columns of the index: with one column fixed the planner
    /// may instead scan the table from its end until it has found enough.
    fn text(self) -> String {
        let mut next = 4..;
        let mut number = |is_there: bool| is_there.then(|| next.next().unwrap_or_default());
        let endpoint = number(self.endpoint).map(|number| format!("${number}::text"));
        let state = number(self.state).map(|number| format!("${number}::bigint"));
        let message = number(self.message);
        let event_type = number(self.event_type).map(|number| format!("${number}::text"));
        let without = match number(self.without) {
            Some(number) => format!(" AND d.endpoint <> ALL (${number}::text[])"),
            None => String::new(),
        };
        if let Some(message) = message {
            let conditions = [("endpoint", endpoint), ("state", state), ("event_type", event_type)];
            let conditions = conditions.into_iter().filter_map(|(column, value)| {
                let value = value?;
                Some(format!(" AND d.{column} = {value}"))
            });
            let conditions: String = conditions.collect();
            return format!(
                "SELECT d.*, m.id FROM {{outbox_messages}} AS m \
                 JOIN {{outbox_deliveries}} AS d ON d.message = m.seq \
                 WHERE m.tenant = $1::text AND m.id = ${message}::text AND d.seq < $2::bigint{conditions}{without} \
                 ORDER BY d.seq DESC LIMIT $3::bigint"
            );
        }
        let of_tenant = if endpoint.is_some() { " AND d.tenant = $1::text" } else { "" };
        let page = |state: &str| {
            // In the order of the columns of an index.
            let columns = match (endpoint.as_deref(), event_type.as_deref()) {
                (None, None) => vec![("tenant", "$1::text"), ("state", state)],
                (None, Some(event_type)) => vec![("tenant", "$1::text"), ("event_type", event_type), ("state", state)],
                (Some(endpoint), None) => vec![("state", state), ("endpoint", endpoint)],
                (Some(endpoint), Some(event_type)) => {
                    vec![("event_type", event_type), ("endpoint", endpoint), ("state", state)]
                }
            };
            let list = |item: fn(&(&str, &str)) -> String| columns.iter().map(item).collect::<Vec<_>>().join(", ");
            let (names, values) = (list(|(name, _)| format!("d.{name}")), list(|(_, value)| (*value).to_owned()));
            let order = list(|(name, _)| format!("d.{name} DESC"));
            format!(
                "(SELECT d.* FROM {{outbox_deliveries}} AS d \
                 WHERE ({names}, d.seq) < ({values}, $2::bigint) AND ({names}) >= ({values}){of_tenant}{without} \
                 ORDER BY {order}, d.seq DESC LIMIT $3::bigint)"
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
            "SELECT d.*, m.id FROM (SELECT * FROM ({pages}) AS d ORDER BY d.seq DESC LIMIT $3::bigint) AS d \
             CROSS JOIN LATERAL (SELECT m.id FROM {{outbox_messages}} AS m WHERE m.seq = d.message LIMIT 1) \
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
            let asked = [shape.endpoint, shape.state, shape.message, shape.event_type, shape.without];
            let values = asked.into_iter().filter(|asked| *asked).count();
            let text = shape.text();
            assert!(text.contains(&format!("${}", 3 + values)), "{text}");
            assert!(!text.contains(&format!("${}", 4 + values)), "{text}");
        }
    }
}
