use std::borrow::Cow;

use crate::{
    field::{Place, Places},
    form::{self, Content},
    head::Head,
    json::Pointer,
};

/// The parts of a request that have arrived: its head, and its body once that has been read.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'r> {
    pub(crate) head: Head<'r>,
    pub(crate) body: Option<&'r [u8]>,
    inside: Inside<'r>,
}

/// Where the facts of a body are.
#[derive(Clone, Copy)]
enum Inside<'r> {
    /// The body is the JSON that holds them.
    Body,
    /// They are the fields of a form.
    Fields,
    /// They are in the JSON that a form holds.
    Json(&'r [u8]),
    /// The body is a form that cannot be read.
    Nowhere,
}

impl<'r> Arrived<'r> {
    /// A head whose body has not been read.
    pub(crate) fn head(head: Head<'r>) -> Self {
        Self { head, body: None, inside: Inside::Nowhere }
    }

    /// A whole request.
    pub(crate) fn whole(head: Head<'r>, body: &'r [u8]) -> Self {
        Self { head, body: Some(body), inside: Inside::Body }
    }

    /// A whole request whose body has been read as a form, if it is one.
    pub(crate) fn form(head: Head<'r>, body: &'r [u8], content: &'r Content) -> Self {
        let inside = match content {
            Content::Fields => Inside::Fields,
            Content::Json(json) => Inside::Json(json),
            Content::Raw => Inside::Body,
            Content::Unread(_) => Inside::Nowhere,
        };
        Self { head, body: Some(body), inside }
    }

    /// The JSON of the body, if it holds any.
    pub(crate) fn json(&self) -> Option<&'r [u8]> {
        match self.inside {
            Inside::Body => self.body,
            Inside::Json(json) => Some(json),
            Inside::Fields | Inside::Nowhere => None,
        }
    }

    /// Returns a scalar of the body: of its JSON, or of its fields.
    pub(crate) fn scalar(&self, pointer: &Pointer) -> Option<Cow<'r, str>> {
        let pointer = std::slice::from_ref(pointer);
        let found = match (self.json(), self.inside) {
            (Some(json), _) => crate::json::scalars(json, pointer),
            (None, Inside::Fields) => form::scalars(self.body?, pointer),
            (None, _) => return None,
        };
        found.ok()?.into_iter().next().flatten()
    }

    /// Whether these scalars can be read in one walk: each of them is absent or there once, and a scalar.
    pub(crate) fn reads(&self, pointers: &[Pointer]) -> bool {
        match (self.json(), self.inside) {
            (Some(json), _) => crate::json::scalars(json, pointers).is_ok(),
            (None, Inside::Fields) => self.body.is_some_and(|body| form::scalars(body, pointers).is_ok()),
            (None, _) => false,
        }
    }

    /// Returns the text of the first of `places` that holds something. Something that occurs twice is skipped.
    pub(crate) fn find(&self, places: &Places) -> Option<String> {
        places.places.iter().find_map(|place| match place {
            Place::Header(name) => String::from_utf8(self.head.header(name).ok()??.as_bytes().to_vec()).ok(),
            Place::HeaderIf(name, wanted) => {
                (self.head.header(name).ok()??.as_bytes() == wanted.as_bytes()).then(|| wanted.clone())
            }
            Place::Json(pointer) => self.scalar(pointer).map(Cow::into_owned),
            Place::Claim(_) | Place::Nowhere | Place::Param(_) | Place::TokenHeader(_) => None,
            Place::Query(key) => String::from_utf8(self.head.query(key).ok()??.into_owned()).ok(),
        })
    }
}
