use crate::{
    inbox::InboxQuery,
    store::postgres::statement::{Statement, Tables},
};

macro_rules! statements {
    ($($name:ident),* $(,)?) => {
        /// The statements of the inbox, each in its own file.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
            lists: Vec<Statement>,
        }

        impl Statements {
            pub(super) fn new(tables: &Tables) -> Self {
                Self {
                    $($name: Statement::new(tables, include_str!(concat!("sql/", stringify!($name), ".sql"))),)*
                    lists: Shape::all().map(|shape| Statement::new(tables, &shape.text())).collect(),
                }
            }
        }
    };
}

statements! {
    count_of_keys,
    due,
    due_of_sources,
    erase,
    erase_find,
    event,
    find,
    find_dead,
    finish,
    gather,
    go_on,
    hold,
    insert,
    lock,
    lock_keys,
    look,
    look_at_sources,
    next_retention,
    purge_dead,
    purge_ended,
    purge_full,
    rearm,
    remove_old,
    renew,
    standing,
    stats,
    try_lock_keys,
    write,
}

impl Statements {
    /// The statement of a list. Its values are the consumer, the event before the page, the limit, and the filters in
    /// the order of the fields of [`Shape`].
    pub(super) fn list(&self, wanted: &InboxQuery) -> &Statement {
        &self.lists[Shape::of(wanted).index()]
    }
}

/// The filters of a list. Each combination has its own statement, so that PostgreSQL plans each of them separately.
#[derive(Debug, Clone, Copy)]
struct Shape {
    state: bool,
    event_type: bool,
    tenant: bool,
}

impl Shape {
    fn of(wanted: &InboxQuery) -> Self {
        Self { state: wanted.state.is_some(), event_type: wanted.event_type.is_some(), tenant: wanted.tenant.is_some() }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|index| Self { state: index & 1 != 0, event_type: index & 2 != 0, tenant: index & 4 != 0 })
    }

    fn index(self) -> usize {
        let bits = [self.state, self.event_type, self.tenant];
        bits.into_iter().enumerate().map(|(place, bit)| usize::from(bit) << place).sum()
    }

    /// Only a page is read, however many events there are: from an index that has those of each state in the order of the list. If any
    /// state is wanted, a page of each is read, and the newest of these are returned.
    ///
    /// The bounds are compared as rows, and the order names all columns of the index: with one column fixed the planner may instead scan
    /// the table from its end until it has found enough.
    fn text(self) -> String {
        const COLUMNS: &str = "e.seq, e.consumer, e.provider, e.tenant, e.delivery_id, e.event_type, e.state, e.attempt, \
             e.accepted_at, e.due_at, e.reason";
        let mut values = 3;
        let mut number = |is_wanted: bool, cast: &str| {
            is_wanted.then(|| {
                values += 1;
                format!("${values}{cast}")
            })
        };
        let state = number(self.state, "::bigint::smallint");
        let event_type = number(self.event_type, "::text");
        let tenant = number(self.tenant, "::text");
        let page = |state: &str| {
            // In the order of the columns of an index, whose condition is there word for word.
            let (mut columns, index) = match (event_type.as_deref(), tenant.as_deref()) {
                (None, None) => (vec![], ""),
                (Some(event_type), None) => (
                    vec![("event_type", event_type)],
                    " AND e.event_type IS NOT NULL AND octet_length(e.event_type) <= 1024",
                ),
                (None, Some(tenant)) => (vec![("tenant", tenant)], " AND e.tenant IS NOT NULL"),
                (Some(event_type), Some(tenant)) => (
                    vec![("event_type", event_type), ("tenant", tenant)],
                    " AND e.tenant IS NOT NULL AND octet_length(e.event_type) < 1025",
                ),
            };
            columns.extend([("consumer", "$1::text"), ("state", state)]);
            let list = |item: fn(&(&str, &str)) -> String| columns.iter().map(item).collect::<Vec<_>>().join(", ");
            let (names, values) = (list(|(name, _)| format!("e.{name}")), list(|(_, value)| (*value).to_owned()));
            let order = list(|(name, _)| format!("e.{name} DESC"));
            format!(
                "(SELECT e.* FROM {{inbox_events}} AS e \
                 WHERE ({names}, e.seq) < ({values}, $2::bigint) AND ({names}) >= ({values}){index} \
                 ORDER BY {order}, e.seq DESC LIMIT $3::bigint)"
            )
        };
        let pages = match &state {
            Some(state) => page(state),
            None => (0..5).map(|state| page(&format!("{state}::smallint"))).collect::<Vec<_>>().join(" UNION ALL "),
        };
        format!("SELECT {COLUMNS} FROM ({pages}) AS e ORDER BY e.seq DESC LIMIT $3::bigint")
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn each_list_has_the_statement_of_its_shape() {
        for (index, shape) in Shape::all().enumerate() {
            assert_eq!(shape.index(), index);
            let values = [shape.state, shape.event_type, shape.tenant].into_iter().filter(|asked| *asked).count();
            let text = shape.text();
            assert!(text.contains(&format!("${}", 3 + values)), "{text}");
            assert!(!text.contains(&format!("${}", 4 + values)), "{text}");
        }
    }
}
