use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The query of a request: each parameter at most once, and none that the route does not know.
pub(super) struct Parameters<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Parameters<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Decoding replaces bytes that are not UTF-8, so that one text could be taken for another.
        let query = parts.uri.query().unwrap_or_default();
        if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
            return Err(Problem::query("the query is not UTF-8"));
        }
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::query(rejection.body_text())),
        }
    }
}

/// Reads a parameter, if it is there.
pub(super) fn parsed<T: FromStr>(
    name: &'static str,
    text: Option<&str>,
    what: &'static str,
) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| Problem::parameter(name, format!("the value has to be {what}"))))
        .transpose()
}

/// Reads how many rows a page is to have: at most as many as the quota allows.
pub(super) fn limit(text: Option<&str>, most: u32) -> Result<u32, Problem> {
    let wrong = || Problem::parameter("limit", format!("the value has to be a whole number from 1 to {LARGEST_LIMIT}"));
    let Some(text) = text else { return Ok(DEFAULT_LIMIT.min(most)) };
    let limit = text.parse::<u32>().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
    limit.map(|limit| limit.min(most)).ok_or_else(wrong)
}

/// What every client can count to.
const LARGEST_LIMIT: u32 = i32::MAX.unsigned_abs();

/// The number of rows of a page if the client does not say: as many as a screen shows.
const DEFAULT_LIMIT: u32 = 50;
