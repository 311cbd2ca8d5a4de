use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type},
    },
};

/// Answers with JSON that no cache may keep.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Types of ours: texts, numbers and lists of them.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Names where something new is.
///
/// The reference is relative to the request's own URI (RFC 9110, section 10.2.2), since only the application knows where it
/// has nested the router.
pub(super) fn located(mut response: Response, place: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T: ToSchema> {
    /// The rows.
    pub(super) data: Vec<T>,
    /// Where the next page begins; `null` if this is the last one. Rows that are added meanwhile do not shift the
    /// pages.
    #[schema(required)]
    pub(super) next: Option<String>,
}

/// Cuts the rows to a page. One row more than a page has means that there is a next page; its begin is returned.
pub(super) fn next<T>(rows: &mut Vec<T>, limit: u32, place: impl FnOnce(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(place)
}

/// The schema of any JSON at all.
pub(super) fn any() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

/// A time in RFC 3339, in UTC, with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        serializer.serialize_str(&DateTimePrinter::new().precision(Some(3)).timestamp_to_string(&time))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let time = text.parse::<Timestamp>().map_err(|_| D::Error::custom("a time is written as in RFC 3339"))?;
        // No store counts further back.
        let since_epoch =
            u64::try_from(time.as_millisecond()).map_err(|_| D::Error::custom("a time is 1970 or later"))?;
        Ok(Self(UNIX_EPOCH + Duration::from_millis(since_epoch)))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Time {}
