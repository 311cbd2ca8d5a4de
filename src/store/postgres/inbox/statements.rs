use crate::{
    inbox::{EventState, InboxQuery},
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
    /// Whether few events are in that state, however many there are.
    is_rare: bool,
}

impl Shape {
    fn of(wanted: &InboxQuery) -> Self {
        Self {
            state: wanted.state.is_some(),
            event_type: wanted.event_type.is_some(),
            tenant: wanted.tenant.is_some(),
            is_rare: wanted.state.is_some_and(|state| !matches!(state, EventState::Discarded | EventState::Done)),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|index| Self {
            state: index & 1 != 0,
            event_type: index & 2 != 0,
            tenant: index & 4 != 0,
            is_rare: index & 8 != 0,
        })
    }

    fn index(self) -> usize {
        let bits = [self.state, self.event_type, self.tenant, self.is_rare];
        bits.into_iter().enumerate().map(|(place, bit)| usize::from(bit) << place).sum()
    }

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
        // The planner is left one index: that of what fewest events are expected to have. The other conditions, which no index can serve
        // in this form, are looked at in its rows.
        let page = |column: &str, value: &str, columns: &str| {
            let others = [("state", &state), ("event_type", &event_type), ("tenant", &tenant)];
            let others = others.into_iter().filter(|(other, _)| *other != column);
            let others = others
                .filter_map(|(other, value)| Some(format!(" AND e.{other} IS NOT DISTINCT FROM {}", value.as_ref()?)));
            let others: String = others.collect();
            let index = match column {
                "state" => String::new(),
                "event_type" => " AND e.event_type IS NOT NULL AND octet_length(e.event_type) <= 1024".to_owned(),
                _ => format!(" AND e.{column} IS NOT NULL"),
            };
            format!(
                "SELECT {columns} FROM {{inbox_events}} AS e \
                 WHERE (e.consumer, e.{column}, e.seq) < ($1::text, {value}, $2::bigint) \
                 AND (e.consumer, e.{column}) >= ($1::text, {value}){index}{others} \
                 ORDER BY e.consumer DESC, e.{column} DESC, e.seq DESC LIMIT $3::bigint"
            )
        };
        match (&state, &event_type, &tenant) {
            (Some(state), _, _) if self.is_rare => page("state", state, COLUMNS),
            (_, _, Some(tenant)) => page("tenant", tenant, COLUMNS),
            (_, Some(event_type), None) => page("event_type", event_type, COLUMNS),
            (Some(state), None, None) => page("state", state, COLUMNS),
            (None, None, None) => {
                // One page of each state: the index of the numbers has other consumers too.
                let pages = (0..5).map(|state| format!("({})", page("state", &format!("{state}::smallint"), "e.*")));
                let pages: Vec<_> = pages.collect();
                format!(
                    "SELECT {COLUMNS} FROM ({}) AS e ORDER BY e.seq DESC LIMIT $3::bigint",
                    pages.join(" UNION ALL ")
                )
            }
        }
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
