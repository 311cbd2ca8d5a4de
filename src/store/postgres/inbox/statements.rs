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
    /// The statement of a list. Its values are the consumer, the event before, the limit, and what is wanted, in the order of the fields
    /// of [`Shape`].
    pub(super) fn list(&self, wanted: &InboxQuery) -> &Statement {
        let shape = Shape {
            state: wanted.state.is_some(),
            event_type: wanted.event_type.is_some(),
            tenant: wanted.tenant.is_some(),
        };
        &self.lists[shape.index()]
    }
}

/// What a list asks for. Each has a statement of its own, so that each is planned for itself.
#[derive(Debug, Clone, Copy)]
struct Shape {
    state: bool,
    event_type: bool,
    tenant: bool,
}

impl Shape {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|index| Self { state: index & 1 != 0, event_type: index & 2 != 0, tenant: index & 4 != 0 })
    }

    fn index(self) -> usize {
        usize::from(self.state) | usize::from(self.event_type) << 1 | usize::from(self.tenant) << 2
    }

    fn text(self) -> String {
        const COLUMNS: &str = "e.seq, e.consumer, e.provider, e.tenant, e.delivery_id, e.event_type, e.state, e.attempt, \
             e.accepted_at, e.due_at, e.reason";
        let mut values = 3;
        let mut number = |is_wanted: bool| {
            is_wanted.then(|| {
                values += 1;
                values
            })
        };
        let (state, event_type, tenant) = (number(self.state), number(self.event_type), number(self.tenant));
        let state = state.map(|number| format!("${number}::bigint::smallint"));
        let page = |state: Option<&str>, columns: &str| {
            let mut text = format!(
                "SELECT {columns} FROM {{inbox_events}} AS e WHERE e.consumer = $1::text AND e.seq < $2::bigint"
            );
            if let Some(state) = state {
                text.push_str(&format!(" AND e.state = {state}"));
            }
            if let Some(number) = event_type {
                text.push_str(&format!(" AND e.event_type = ${number}::text AND e.event_type IS NOT NULL"));
            }
            if let Some(number) = tenant {
                text.push_str(&format!(" AND e.tenant = ${number}::text AND e.tenant IS NOT NULL"));
            }
            text.push_str(" ORDER BY e.seq DESC LIMIT $3::bigint");
            text
        };
        if state.is_some() || event_type.is_some() || tenant.is_some() {
            return page(state.as_deref(), COLUMNS);
        }
        // One page of each state, along the index of the states: that of the numbers has other consumers too.
        let pages: Vec<_> = (0..5).map(|state| format!("({})", page(Some(&state.to_string()), "e.*"))).collect();
        format!("SELECT {COLUMNS} FROM ({}) AS e ORDER BY e.seq DESC LIMIT $3::bigint", pages.join(" UNION ALL "))
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
