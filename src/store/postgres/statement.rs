use std::{fmt::Write as _, sync::Arc};

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, SqlSafeStr, SqlStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::store::name::Prefix;

/// How statements reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Prepared once a connection, then one round trip each.
    Prepared,
    /// Text with the values in it, always one round trip.
    Simple,
}

/// The names of the tables, as they are written in SQL.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) schema: Option<String>,
    pub(super) claims: String,
    prefix: String,
}

impl Tables {
    pub(super) fn new(schema: Option<&Prefix>, prefix: &Prefix) -> Self {
        let mut tables = Self {
            schema: schema.map(|schema| schema.as_str().to_owned()),
            claims: String::new(),
            prefix: prefix.as_str().to_owned(),
        };
        tables.claims = tables.fill("{claims}").trim_end().to_owned();
        tables
    }

    /// Fills the names in: `{claims}` is a table, `{index claims_purge}` an index. A `Prefix` needs no escaping.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut sql = String::with_capacity(template.len() + 128);
        for line in template.lines().filter(|line| !line.trim_start().starts_with("--")) {
            let mut pieces = line.split('{');
            sql.push_str(pieces.next().unwrap_or_default());
            for piece in pieces {
                let (name, rest) = piece.split_once('}').expect("a template closes its names");
                self.write_name(&mut sql, name);
                sql.push_str(rest);
            }
            sql.push('\n');
        }
        sql
    }

    /// Returns the name of the channel on which the processes that share the tables notify each other of new work.
    /// Channels do not belong to a schema.
    #[cfg(any(feature = "inbox", feature = "send"))]
    pub(super) fn channel(&self, part: &str, salt: u64) -> String {
        format!("{}{part}_{salt:016x}", self.prefix)
    }

    /// Quoted, since `user` and `order` are names too.
    fn write_name(&self, sql: &mut String, name: &str) {
        let prefix = &self.prefix;
        let written = match (name.strip_prefix("index "), &self.schema) {
            // An index lives in the schema of its table; its name takes no schema.
            (Some(index), _) => write!(sql, "\"{prefix}{index}\""),
            (None, Some(schema)) => write!(sql, "\"{schema}\".\"{prefix}{name}\""),
            (None, None) => write!(sql, "\"{prefix}{name}\""),
        };
        written.expect("a string takes all that is written");
    }
}

/// One statement of the store.
#[derive(Debug, Clone)]
pub(super) struct Statement(SqlStr);

impl Statement {
    pub(super) fn new(tables: &Tables, template: &str) -> Self {
        Self(AssertSqlSafe(Arc::<str>::from(tables.fill(template))).into_sql_str())
    }

    /// Runs the statement in one round trip, and returns its first row.
    pub(super) async fn fetch(
        &self,
        connection: &mut PgConnection,
        mode: Mode,
        values: &[Value<'_>],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        match mode {
            Mode::Prepared => self.bind(values).fetch_optional(connection).await,
            Mode::Simple => sqlx::raw_sql(self.inline(values)).fetch_optional(connection).await,
        }
    }

    /// Runs the statement in one round trip, and returns its rows.
    pub(super) async fn fetch_all(
        &self,
        connection: &mut PgConnection,
        mode: Mode,
        values: &[Value<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match mode {
            Mode::Prepared => self.bind(values).fetch_all(connection).await,
            Mode::Simple => sqlx::raw_sql(self.inline(values)).fetch_all(connection).await,
        }
    }

    fn bind<'v>(&self, values: &[Value<'v>]) -> Query<'v, Postgres, PgArguments> {
        values.iter().fold(sqlx::query(self.0.clone()), |query, value| match *value {
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Float(float) => query.bind(float),
            Value::Int(int) => query.bind(int),
            Value::Text(text) => query.bind(text),
            Value::ManyBytes(bytes) => query.bind(bytes),
            Value::ManyFloats(floats) => query.bind(floats),
            Value::ManyInts(ints) => query.bind(ints),
            Value::ManyTexts(texts) => query.bind(texts),
        })
    }

    fn inline(&self, values: &[Value<'_>]) -> AssertSqlSafe<String> {
        AssertSqlSafe(inline(self.0.as_str(), values))
    }
}

/// A value of a statement. Templates cast each, so that both modes mean the same type.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(all(feature = "inbox", feature = "send")), allow(dead_code))] // Claims need three of them, and the inbox no floats.
pub(super) enum Value<'a> {
    Bytes(Option<&'a [u8]>),
    Float(f64),
    Int(Option<i64>),
    ManyBytes(&'a [&'a [u8]]),
    ManyFloats(&'a [f64]),
    ManyInts(&'a [i64]),
    ManyTexts(&'a [Option<&'a str>]),
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

/// Writes the values in place of `$1`, `$2` …: numbers and hexadecimal digits only, so there is nothing to escape.
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
        // The exponent keeps it short, and `e` cannot end a literal.
        Value::Float(float) => {
            let _ = write!(text, "({float:e})");
        }
        Value::Text(Some(chars)) => {
            text.push_str("convert_from('\\x");
            hex(text, chars.as_bytes());
            text.push_str("'::bytea, 'UTF8')");
        }
        Value::Bytes(None) | Value::Int(None) | Value::Text(None) => text.push_str("NULL"),
        Value::ManyBytes(many) => write_array(text, many.iter().map(|bytes| Value::Bytes(Some(bytes)))),
        Value::ManyFloats(many) => write_array(text, many.iter().copied().map(Value::Float)),
        Value::ManyInts(many) => write_array(text, many.iter().copied().map(Value::from)),
        Value::ManyTexts(many) => write_array(text, many.iter().copied().map(Value::Text)),
    }
}

fn write_array<'v>(text: &mut String, values: impl Iterator<Item = Value<'v>>) {
    text.push_str("ARRAY[");
    for (index, value) in values.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_literal(text, value);
    }
    text.push(']');
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
    fn lists_are_written_as_arrays_of_such_values() {
        let sql = inline(
            "$1::bigint[] $2::text[] $3::bytea[] $4::double precision[]",
            &[
                Value::ManyInts(&[1, -2]),
                Value::ManyTexts(&[Some("'"), None]),
                Value::ManyBytes(&[]),
                Value::ManyFloats(&[0.5, 1e-9]),
            ],
        );

        let texts = "ARRAY[convert_from('\\x27'::bytea, 'UTF8'),NULL]";
        let floats = "ARRAY[(5e-1),(1e-9)]";
        assert_eq!(
            sql,
            format!("ARRAY[(1),(-2)]::bigint[] {texts}::text[] ARRAY[]::bytea[] {floats}::double precision[]")
        );
    }

    #[test]
    fn tables_are_qualified_and_quoted() {
        let tables = Tables::new(Some(&"user".parse().unwrap()), &"order_".parse().unwrap());

        assert_eq!(tables.fill("-- why\nFROM {claims}"), "FROM \"user\".\"order_claims\"\n");
        assert_eq!(tables.fill("{index a_b} ON {a}"), "\"order_a_b\" ON \"user\".\"order_a\"\n");
        assert_eq!(tables.claims, "\"user\".\"order_claims\"");
    }
}
