//! Statements whose texts are built once, and of which several are carried out together: each time that something is handed to the
//! driver's thread costs about as much as a statement.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Column, Encode, Row, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, Type,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

/// Statements that are carried out one after the other, in one hand-over to the driver's thread. Parameters are numbered over all of
/// them.
pub(super) struct Script {
    text: SqlStr,
    /// The number of each parameter, in their order in the text. The driver counts unnamed parameters over all statements, and
    /// numbered ones in each.
    order: Vec<usize>,
}

/// A value of a [`Script`].
#[derive(Clone)]
pub(super) enum Value {
    Int(i64),
    Text(Arc<str>),
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl Script {
    pub(super) fn new(prefix: &str, statements: &[&str]) -> Self {
        let mut order = Vec::new();
        let mut text = String::new();
        for statement in statements {
            let statement = statement.replace("{}", prefix);
            let mut pieces = statement.split('?');
            text.push_str(pieces.next().unwrap_or_default());
            for piece in pieces {
                let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
                let (number, rest) = piece.split_at(digits);
                order.push(number.parse::<usize>().expect("a script numbers its parameters") - 1);
                text.push('?');
                text.push_str(rest);
            }
            text.push_str(";\n");
        }
        Self { text: safe(text), order }
    }

    /// Returns the rows of all statements, in their order.
    pub(super) async fn rows(
        &self,
        connection: &mut SqliteConnection,
        values: &[Value],
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        self.bind(values).fetch_all(connection).await
    }

    pub(super) async fn run(&self, connection: &mut SqliteConnection, values: &[Value]) -> Result<(), sqlx::Error> {
        self.bind(values).execute(connection).await.map(drop)
    }

    fn bind(&self, values: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
        self.order.iter().fold(sqlx::query(self.text.clone()), |query, number| match values[*number].clone() {
            Value::Int(int) => query.bind(int),
            Value::Text(text) => query.bind(text),
        })
    }
}

/// A script whose statements take rows of values, written as `{rows 3}` for rows of three columns. There is a text for some numbers
/// of rows; rows that are left over have nothing in them.
pub(super) struct Sizes([SqlStr; SIZES.len()]);

/// The numbers of rows.
const SIZES: [usize; 5] = [1, 4, 16, 64, MOST_ROWS];

/// How many rows one run takes.
pub(super) const MOST_ROWS: usize = 256;

impl Sizes {
    pub(super) fn new(prefix: &str, statements: &[&str]) -> Self {
        let statements = statements.iter().map(|text| text.replace("{}", prefix)).collect::<Vec<_>>().join(";\n");
        Self(SIZES.map(|size| safe(with_rows(&statements, size))))
    }

    /// Returns the script for `rows` rows, which are at most [`MOST_ROWS`].
    pub(super) fn of(&self, rows: usize) -> Filling {
        let place = SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1);
        Filling { query: Some(sqlx::query(self.0[place].clone())), size: SIZES[place] }
    }
}

/// A script that is given its values, statement by statement.
pub(super) struct Filling {
    query: Option<Query<'static, Sqlite, SqliteArguments>>,
    size: usize,
}

impl Filling {
    /// A statement for one row.
    pub(super) fn one(prefix: &str, statement: &str) -> Self {
        let text = safe(with_rows(&statement.replace("{}", prefix), 1));
        Self { query: Some(sqlx::query(text)), size: 1 }
    }

    /// Binds the rows of a statement: `bind` is called for each, and with `None` for those that are left over.
    pub(super) fn rows<R>(&mut self, rows: impl IntoIterator<Item = R>, mut bind: impl FnMut(&mut Self, Option<R>)) {
        let mut rows = rows.into_iter();
        for _ in 0..self.size {
            bind(self, rows.next());
        }
    }

    pub(super) fn bind(&mut self, value: impl Encode<'static, Sqlite> + Type<Sqlite> + 'static) -> &mut Self {
        self.query = self.query.take().map(|query| query.bind(value));
        self
    }

    pub(super) fn query(self) -> Query<'static, Sqlite, SqliteArguments> {
        self.query.expect("only `bind` takes it, and puts it back")
    }
}

/// Writes the parameters of rows in place of `{rows 3}`.
pub(super) fn with_rows(template: &str, rows: usize) -> String {
    let mut pieces = template.split("{rows ");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (columns, rest) = piece.split_once('}').expect("a template closes its rows");
        let row = format!("({})", vec!["?"; columns.parse().expect("rows have a number of columns")].join(", "));
        text.push_str(&vec![row; rows].join(", "));
        text.push_str(rest);
    }
    text
}

fn safe(text: String) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
}

/// Returns `true` if a row is of the statement whose first column has this name.
pub(super) fn is_of(row: &SqliteRow, first_column: &str) -> bool {
    row.columns().first().is_some_and(|column| column.name() == first_column)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row, SqliteConnection};

    use super::{Script, with_rows};

    #[tokio::test]
    async fn the_statements_of_a_script_share_their_values() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let script = Script::new("a_", &["SELECT ?3 AS {}one, ?1, ?3", "SELECT ?2 AS {}two, ?1"]);

        let rows = script.rows(&mut connection, &[7.into(), 8.into(), "text".to_owned().into()]).await.unwrap();

        let (one, two) = (&rows[0], &rows[1]);
        assert_eq!((one.get("a_one"), one.get(1), one.get(2)), ("text", 7, "text"));
        assert_eq!((two.get("a_two"), two.get(1)), (8, 7));
    }

    #[test]
    fn rows_are_written_as_often_as_there_are_rows() {
        assert_eq!(with_rows("a {rows 2} b {rows 1}", 2), "a (?, ?), (?, ?) b (?), (?)");
    }
}
