//! The place of a fact in a request: a header, a parameter of the signature header, the query, or the body.

use std::borrow::Cow;

use http::HeaderName;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    json::Pointer,
};

/// The place of a fact in a request, such as the id, the event type or the timestamp.
///
/// A field can have several places; they are read in order, and the first one that has a value is used. The value of a
/// second field can be joined with a dot, as in `issues.opened`.
///
/// ```
/// use tower_webhooks::scheme::Field;
///
/// let id = Field::header("x-acme-delivery").or(Field::json("/id"));
/// let event_type = Field::header("x-acme-event").joined(Field::json("/action"));
/// # let _ = (id, event_type);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Field {
    places: Vec<RawPlace>,
    joined: Option<Box<Self>>,
}

#[derive(Debug, Clone)]
enum RawPlace {
    Claim(Cow<'static, str>),
    Header(Cow<'static, str>),
    HeaderIf(Cow<'static, str>, Cow<'static, str>),
    Json(Cow<'static, str>),
    Nowhere,
    Param(Cow<'static, str>),
    Query(Cow<'static, str>),
    TokenHeader(Cow<'static, str>),
}

impl Field {
    /// Creates a field for a header.
    pub fn header(name: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Header(name.into()))
    }

    /// Creates a field for a header that is read only if it has exactly this value; with any other value the field is
    /// empty. Some senders mark messages of another kind in such a header, in contradiction to their other headers.
    ///
    /// ```
    /// use tower_webhooks::scheme::Field;
    ///
    /// // The last message of a subscription has `X-Acme-Kind: farewell`, and the event type of the deliveries before it.
    /// let event_type = Field::header_if("x-acme-kind", "farewell").or(Field::header("x-acme-event"));
    /// # let _ = event_type;
    /// ```
    pub fn header_if(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::HeaderIf(name.into(), value.into()))
    }

    /// Creates a field for a scalar in the JSON body, by its JSON pointer (RFC 6901). It is read only after the
    /// signature was verified.
    pub fn json(pointer: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Json(pointer.into()))
    }

    /// A claim of the token that is the signature ([`SchemeBuilder::jwt`](crate::scheme::SchemeBuilder::jwt)).
    pub fn claim(name: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Claim(name.into()))
    }

    /// Creates a field for a member of the header of the token that is the signature, such as `kid`, the id of its key.
    pub fn token_header(name: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::TokenHeader(name.into()))
    }

    /// Creates a field for a parameter of the signature header, such as `t` in `t=1700000000,v1=…`.
    pub fn param(key: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Param(key.into()))
    }

    /// Creates a field for a parameter of the URL's query, percent-decoded.
    pub fn query(key: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Query(key.into()))
    }

    /// Creates a field without a place, for one of several families of headers that does not have it.
    pub(crate) fn nowhere() -> Self {
        Self::one(RawPlace::Nowhere)
    }

    /// Adds the places of `other` after these.
    pub fn or(mut self, other: Self) -> Self {
        self.places.extend(other.places);
        self
    }

    /// Joins the value of `other` with a dot, if both fields have a value.
    pub fn joined(mut self, other: Self) -> Self {
        self.joined = Some(Box::new(other));
        self
    }

    fn one(place: RawPlace) -> Self {
        Self { places: vec![place], joined: None }
    }

    pub(crate) fn compile(&self) -> Result<Places, ConfigError> {
        let places = self.places.iter().map(RawPlace::compile).collect::<Result<_, _>>()?;
        let joined = self.joined.as_ref().map(|field| field.compile().map(Box::new)).transpose()?;
        Ok(Places { places, joined })
    }
}

impl RawPlace {
    fn compile(&self) -> Result<Place, ConfigError> {
        Ok(match self {
            Self::Claim(name) => Place::Claim(name.clone().into_owned()),
            Self::Header(name) => Place::Header(header_name(name)?),
            Self::HeaderIf(name, value) if value.is_empty() => {
                let message = format!("the value of `{name}` is empty; `header_if` needs a value");
                return Err(ConfigError::new(ConfigErrorKind::Scheme, message));
            }
            Self::HeaderIf(name, value) => Place::HeaderIf(header_name(name)?, value.clone().into_owned()),
            Self::Json(pointer) => Place::Json(json_pointer(pointer)?),
            Self::Nowhere => Place::Nowhere,
            Self::Param(key) => Place::Param(key.clone().into_owned()),
            Self::Query(key) => Place::Query(key.clone().into_owned()),
            Self::TokenHeader(name) => Place::TokenHeader(name.clone().into_owned()),
        })
    }
}

/// A field whose names have been parsed.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) places: Vec<Place>,
    pub(crate) joined: Option<Box<Self>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Claim(String),
    Header(HeaderName),
    HeaderIf(HeaderName, String),
    Json(Pointer),
    Nowhere,
    Param(String),
    Query(String),
    TokenHeader(String),
}

impl Places {
    /// Returns the places to read if the request has the `family`-th signature header. If there are as many headers as
    /// families, only that of this family is read, so that two families are never mixed.
    pub(crate) fn of_family(&self, family: usize, families: usize) -> impl Iterator<Item = (usize, &Place)> {
        let split = families > 1
            && self.places.len() == families
            && self.places.iter().all(|place| matches!(place, Place::Header(_) | Place::Nowhere));
        self.places.iter().enumerate().filter(move |(index, _)| !split || *index == family)
    }

    /// Returns the header of a family, if it has one.
    pub(crate) fn header(&self, family: usize) -> Option<&HeaderName> {
        let mut headers = self.places.iter().filter_map(|place| match place {
            Place::Header(name) => Some(name),
            _ => None,
        });
        let count = headers.clone().count();
        headers.nth(family.min(count.saturating_sub(1)))
    }

    /// Whether any of the places is in the head.
    pub(crate) fn may_be_in_head(&self) -> bool {
        let mut all = self.places.iter().chain(self.joined.iter().flat_map(|joined| joined.places.iter()));
        all.any(|place| !matches!(place, Place::Json(_) | Place::Nowhere))
    }

    pub(crate) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.places.iter().chain(self.joined.iter().flat_map(|joined| joined.places.iter())).filter_map(|place| {
            match place {
                Place::Json(pointer) => Some(pointer),
                _ => None,
            }
        })
    }
}

pub(crate) fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ConfigError::new(ConfigErrorKind::Scheme, format!("`{name}` is not a header name")))
}

pub(crate) fn json_pointer(text: &str) -> Result<Pointer, ConfigError> {
    Pointer::parse(text).ok_or_else(|| {
        ConfigError::new(ConfigErrorKind::Scheme, format!("`{text}` is not a JSON pointer; a pointer begins with `/`"))
    })
}
