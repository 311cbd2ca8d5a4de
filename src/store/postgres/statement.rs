use std::{fmt::Write as _, sync::Arc};

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr, postgres::PgRow};

use crate::store::name::Prefix;

/// How statements reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Prepared once a connection, then one round trip each.
    Prepared,
    /// Text with the values in it, always one round trip.
    Simple,
}

/// The names of the tables, as they stand in SQL.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) schema: Option<String>,
    pub(super) claims: String,
    pub(super) migrations: String,
    claims_purge: String,
}

impl Tables {
    pub(super) fn new(schema: Option<&Prefix>, prefix: &Prefix) -> Self {
        let prefix = prefix.as_str();
        // Quoted, since `user` and `order` are names too.
        let qualify = |table: &str| match schema {
            Some(schema) => format!("\"{}\".\"{prefix}{table}\"", schema.as_str()),
            None => format!("\"{prefix}{table}\""),
        };
        Self {
            schema: schema.map(|schema| schema.as_str().to_owned()),
            claims: qualify("claims"),
            migrations: qualify("migrations"),
            // An index lives in the schema of its table; its name takes no schema.
            claims_purge: format!("\"{prefix}claims_purge\""),
        }
    }

    /// Fills the names in. A `Prefix` needs no escaping.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut sql = String::with_capacity(template.len() + 128);
        for line in template.lines().filter(|line| !line.trim_start().starts_with("--")) {
            sql.push_str(line);
            sql.push('\n');
        }
        sql.replace("{claims}", &self.claims)
            .replace("{claims_purge}", &self.claims_purge)
            .replace("{migrations}", &self.migrations)
    }
}

/// One statement of the store.
#[derive(Debug, Clone)]
pub(super) struct Statement(SqlStr);

impl Statement {
    pub(super) fn new(tables: &Tables, template: &str) -> Self {
        Self(AssertSqlSafe(Arc::<str>::from(tables.fill(template))).into_sql_str())
    }

    /// Runs the statement in one round trip, and gives its first row.
    pub(super) async fn fetch(
        &self,
        connection: &mut PgConnection,
        mode: Mode,
        values: &[Value<'_>],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        match mode {
            Mode::Prepared => {
                let mut query = sqlx::query(self.0.clone());
                for value in values {
                    query = match *value {
                        Value::Bytes(bytes) => query.bind(bytes),
                        Value::Int(int) => query.bind(int),
                        Value::Text(text) => query.bind(text),
                    };
                }
                query.fetch_optional(connection).await
            }
            Mode::Simple => {
                sqlx::raw_sql(AssertSqlSafe(inline(self.0.as_str(), values))).fetch_optional(connection).await
            }
        }
    }
}

/// A value of a statement. Templates cast each, so that both modes mean the same type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
    Text(Option<&'a str>),
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl From<i64> for Value<'_> {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

/// Writes the values in place of `$1`, `$2` …: digits and hexadecimal digits only, so there is nothing to escape.
fn inline(sql: &str, values: &[Value<'_>]) -> String {
    let mut pieces = sql.split('$');
    let mut text = String::with_capacity(sql.len() + 256);
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        let value = number.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?));
        write_literal(&mut text, *value.expect("a template numbers the values it is given"));
        text.push_str(rest);
    }
    text
}

fn write_literal(text: &mut String, value: Value<'_>) {
    match value {
        Value::Bytes(Some(bytes)) => {
            text.push_str("'\\x");
            hex(text, bytes);
            text.push('\'');
        }
        // In parentheses: a cast binds more strongly than a minus sign.
        Value::Int(Some(int)) => {
            let _ = write!(text, "({int})");
        }
        Value::Text(Some(chars)) => {
            text.push_str("convert_from('\\x");
            hex(text, chars.as_bytes());
            text.push_str("'::bytea, 'UTF8')");
        }
        Value::Bytes(None) | Value::Int(None) | Value::Text(None) => text.push_str("NULL"),
    }
}

fn hex(text: &mut String, bytes: &[u8]) {
    data_encoding::HEXLOWER.encode_append(bytes, text);
}

#[cfg(test)]
mod tests {
    use super::{Tables, Value, inline};

    #[test]
    fn values_are_written_as_digits_only() {
        let sql = inline(
            "a $1::bytea, $2::bigint, $10, $3::text",
            &[
                (&[0x27, 0xff]).into(),
                (-5).into(),
                "it's".into(),
                Value::Int(None),
                Value::Int(None),
                Value::Int(None),
                Value::Int(None),
                Value::Int(None),
                Value::Int(None),
                Value::Text(None),
            ],
        );

        assert_eq!(sql, "a '\\x27ff'::bytea, (-5)::bigint, NULL, convert_from('\\x69742773'::bytea, 'UTF8')::text");
    }

    #[test]
    fn tables_are_qualified_and_quoted() {
        let tables = Tables::new(Some(&"user".parse().unwrap()), &"order_".parse().unwrap());

        assert_eq!(tables.fill("-- why\nFROM {claims}"), "FROM \"user\".\"order_claims\"\n");
    }
}
