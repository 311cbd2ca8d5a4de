//! Where one fact of a delivery is: in a header, in the signature header's parameters, in the query, or in the body.

use std::borrow::Cow;

use http::HeaderName;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    json::Pointer,
};

/// Says where a scheme puts one fact: its id, its event type, its timestamp.
///
/// Places are looked at in order, and the first that holds something wins. A second field can be joined on with a dot, as
/// in `issues.opened`.
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
}

impl Field {
    /// A header by its name.
    pub fn header(name: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Header(name.into()))
    }

    /// A header where it holds just this value; with any other value it counts as not there. Some senders say in it that a
    /// message is of another kind than its other headers tell.
    ///
    /// ```
    /// use tower_webhooks::scheme::Field;
    ///
    /// // `X-Acme-Kind: farewell` comes with the event type of the deliveries that end with it.
    /// let event_type = Field::header_if("x-acme-kind", "farewell").or(Field::header("x-acme-event"));
    /// # let _ = event_type;
    /// ```
    pub fn header_if(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::HeaderIf(name.into(), value.into()))
    }

    /// A scalar of the JSON body, by JSON pointer (RFC 6901). It is read only after the signature has passed.
    pub fn json(pointer: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Json(pointer.into()))
    }

    /// A claim of the token that is the signature ([`SchemeBuilder::jwt`](crate::scheme::SchemeBuilder::jwt)).
    pub fn claim(name: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Claim(name.into()))
    }

    /// A parameter of the signature header, such as `t` in `t=1700000000,v1=…`.
    pub fn param(key: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Param(key.into()))
    }

    /// A parameter of the URL's query, percent-decoded.
    pub fn query(key: impl Into<Cow<'static, str>>) -> Self {
        Self::one(RawPlace::Query(key.into()))
    }

    /// Where one of several families of headers does not have this field.
    pub(crate) fn nowhere() -> Self {
        Self::one(RawPlace::Nowhere)
    }

    /// Looks at `other`'s places too, after these.
    pub fn or(mut self, other: Self) -> Self {
        self.places.extend(other.places);
        self
    }

    /// Joins `other` on with a dot, where both are there.
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
                let message = format!("an empty value of `{name}` tells nothing; `header_if` needs one");
                return Err(ConfigError::new(ConfigErrorKind::Scheme, message));
            }
            Self::HeaderIf(name, value) => Place::HeaderIf(header_name(name)?, value.clone().into_owned()),
            Self::Json(pointer) => Place::Json(json_pointer(pointer)?),
            Self::Nowhere => Place::Nowhere,
            Self::Param(key) => Place::Param(key.clone().into_owned()),
            Self::Query(key) => Place::Query(key.clone().into_owned()),
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
}

impl Places {
    /// The places to look at when the `family`-th signature header is the one that is there: of as many headers as there
    /// are families only that family's, so that two families are never mixed.
    pub(crate) fn of_family(&self, family: usize, families: usize) -> impl Iterator<Item = (usize, &Place)> {
        let split = families > 1
            && self.places.len() == families
            && self.places.iter().all(|place| matches!(place, Place::Header(_) | Place::Nowhere));
        self.places.iter().enumerate().filter(move |(index, _)| !split || *index == family)
    }

    /// The header of a family's, where it has one.
    pub(crate) fn header(&self, family: usize) -> Option<&HeaderName> {
        let mut headers = self.places.iter().filter_map(|place| match place {
            Place::Header(name) => Some(name),
            _ => None,
        });
        let count = headers.clone().count();
        headers.nth(family.min(count.saturating_sub(1)))
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
        .map_err(|_| ConfigError::new(ConfigErrorKind::Scheme, format!("`{name}` is no header name")))
}

pub(crate) fn json_pointer(text: &str) -> Result<Pointer, ConfigError> {
    Pointer::parse(text).ok_or_else(|| {
        ConfigError::new(ConfigErrorKind::Scheme, format!("`{text}` is no JSON pointer; one begins with `/`"))
    })
}
