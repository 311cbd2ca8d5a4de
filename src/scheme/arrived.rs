use std::borrow::Cow;

use crate::{
    field::{Place, Places},
    head::Head,
    json::Pointer,
};

/// What has arrived of a request: its head, and its body once that has been read.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'r> {
    pub(crate) head: Head<'r>,
    pub(crate) body: Option<&'r [u8]>,
}

impl<'r> Arrived<'r> {
    /// A head whose body has not been read.
    pub(crate) fn head(head: Head<'r>) -> Self {
        Self { head, body: None }
    }

    /// A whole request.
    pub(crate) fn whole(head: Head<'r>, body: &'r [u8]) -> Self {
        Self { head, body: Some(body) }
    }

    /// Returns a scalar of the JSON body.
    pub(crate) fn scalar(&self, pointer: &Pointer) -> Option<Cow<'r, str>> {
        crate::json::scalars(self.body?, std::slice::from_ref(pointer)).ok()?.into_iter().next().flatten()
    }

    /// Returns the text of the first of `places` that holds something. Something that occurs twice is skipped.
    pub(crate) fn find(&self, places: &Places) -> Option<String> {
        places.places.iter().find_map(|place| match place {
            Place::Header(name) => String::from_utf8(self.head.header(name).ok()??.as_bytes().to_vec()).ok(),
            Place::HeaderIf(name, wanted) => {
                (self.head.header(name).ok()??.as_bytes() == wanted.as_bytes()).then(|| wanted.clone())
            }
            Place::Json(pointer) => self.scalar(pointer).map(Cow::into_owned),
            Place::Nowhere | Place::Param(_) => None,
            Place::Query(key) => String::from_utf8(self.head.query(key).ok()??.into_owned()).ok(),
        })
    }
}
