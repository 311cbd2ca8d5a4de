use sqlx::{Error, Row};

/// The columns of a row, by their names.
pub(in crate::store) trait Columns {
    fn bytes(&self, name: &str) -> Result<Vec<u8>, Error>;
    fn flag(&self, name: &str) -> Result<bool, Error>;
    fn float(&self, name: &str) -> Result<f64, Error>;
    /// An integer of any size.
    fn int(&self, name: &str) -> Result<i64, Error>;
    fn optional_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;
    fn optional_int(&self, name: &str) -> Result<Option<i64>, Error>;
    fn optional_text(&self, name: &str) -> Result<Option<String>, Error>;
    fn text(&self, name: &str) -> Result<&str, Error>;
}

macro_rules! columns {
    ($row:ty, $int:ident) => {
        impl Columns for $row {
            fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
                self.try_get(name)
            }

            fn flag(&self, name: &str) -> Result<bool, Error> {
                self.try_get(name)
            }

            fn float(&self, name: &str) -> Result<f64, Error> {
                self.try_get(name)
            }

            fn int(&self, name: &str) -> Result<i64, Error> {
                self.$int(name)
            }

            fn optional_bytes(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
                self.try_get(name)
            }

            fn optional_int(&self, name: &str) -> Result<Option<i64>, Error> {
                self.$int(name)
            }

            fn optional_text(&self, name: &str) -> Result<Option<String>, Error> {
                self.try_get(name)
            }

            fn text(&self, name: &str) -> Result<&str, Error> {
                self.try_get(name)
            }
        }
    };
}

// PostgreSQL has integers of several sizes, and the driver decodes each of them as the largest; only its check of the type is strict.
#[cfg(feature = "postgres")]
columns!(sqlx::postgres::PgRow, try_get_unchecked);
#[cfg(feature = "sqlite")]
columns!(sqlx::sqlite::SqliteRow, try_get);

/// Returns the error for a value of a row that is not valid.
pub(in crate::store) fn corrupt(what: &'static str) -> Error {
    Error::Decode(what.into())
}

/// Converts a number that is never negative and never too large.
pub(in crate::store) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(if number < 0 { 0 } else { u32::MAX })
}
