//! Reads events into ordinary derived enums.
//!
//! `#[derive(Deserialize)]` makes an enum ask its deserializer for one of its variants by name. The deserializer here answers
//! with the variant whose name, read as a pattern, fits the event type best, and with the payload as its content. Nothing
//! but `#[serde(rename = "…")]` is needed on the enum. Where no pattern fits, it answers with the event type itself, which a
//! variant with `#[serde(other)]` takes and no other does.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor, value::SeqDeserializer},
    forward_to_deserialize_any,
};

use super::raw_event::TOKEN;
use crate::{
    delivery::Delivery,
    form::{Fields, to_json},
    mutex::Mutex,
    observe,
    pattern::{self, Subject},
};

/// The variants of `T`, when it is an enum that is chosen by name.
///
/// `T` is asked to deserialize itself from something that only looks at which question it asks.
pub(super) fn variants<'de, T: Deserialize<'de>>() -> Option<&'static [&'static str]> {
    match T::deserialize(Probe) {
        Err(Asked::Enum(variants)) => Some(variants),
        Err(Asked::Other) | Ok(_) => None,
    }
}

/// Deserializes an event into an enum.
pub(super) fn deserialize<'de, T: Deserialize<'de>>(event: Event<'de, '_>) -> Result<T, serde_json::Error> {
    T::deserialize(event)
}

/// An event, as an enum is read from it.
#[derive(Clone, Copy)]
pub(super) struct Event<'de, 'a> {
    pub(super) subject: Subject<'a>,
    /// `None` where the body has none, which is well for a variant without content.
    pub(super) content: Option<Content<'de>>,
    /// Set when no variant fits.
    pub(super) unhandled: &'a Cell<bool>,
}

/// The payload, which is the content of the chosen variant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'de> {
    Fields(&'de [u8]),
    Json(&'de str),
}

/// Warns, once for each enum, where the variants of `T` look as if they were meant for event types like a delivery's and
/// cannot match.
pub(super) fn warn<'de, T: Deserialize<'de>>(delivery: &Delivery) {
    static WARNED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let (Some(variants), Some(event_type)) = (variants::<T>(), delivery.event_type()) else { return };
    let Some(mistake) = pattern::mistake(variants.iter().copied(), event_type.subject()) else { return };
    {
        // An enum is told by where its list of names is; there are as many as the program has enums.
        let mut warned = WARNED.lock();
        let enumeration = variants.as_ptr().addr();
        if warned.contains(&enumeration) {
            return;
        }
        warned.push(enumeration);
    }
    observe::never_matches("enum", delivery.provider(), event_type.as_str(), mistake);
}

struct Probe;

#[derive(Debug)]
enum Asked {
    Enum(&'static [&'static str]),
    Other,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a probe has no value")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<M: fmt::Display>(_message: M) -> Self {
        Self::Other
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Asked> {
        Err(Asked::Other)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked::Enum(variants))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for Event<'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, serde_json::Error> {
        Err(de::Error::custom("an enum over event types is chosen by the name of its variants"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        let variant = pattern::best(variants, self.subject);
        visitor.visit_enum(Chosen { event: self, variant })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Chosen<'de, 'a> {
    event: Event<'de, 'a>,
    /// `None` where no pattern fits.
    variant: Option<&'static str>,
}

impl<'de, 'a> EnumAccess<'de> for Chosen<'de, 'a> {
    type Error = serde_json::Error;
    type Variant = Variant<'de, 'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), serde_json::Error> {
        let named = |name| seed.deserialize(IntoDeserializer::<serde_json::Error>::into_deserializer(name));
        let variant = match self.variant {
            Some(variant) => named(variant)?,
            None => named(self.event.subject.whole).inspect_err(|_| self.event.unhandled.set(true))?,
        };
        Ok((variant, Variant { event: self.event }))
    }
}

/// The chosen variant, before its content.
struct Variant<'de, 'a> {
    event: Event<'de, 'a>,
}

impl<'de> Variant<'de, '_> {
    fn content(&self) -> Result<Content<'de>, serde_json::Error> {
        self.event.content.ok_or_else(|| de::Error::custom("the body has no payload"))
    }
}

/// Asks the payload's own deserializer.
macro_rules! ask {
    ($content:expr, $method:ident, $($argument:expr),*) => {
        match $content {
            Content::Fields(form) => Fields(form).$method($($argument),*),
            Content::Json(text) => serde_json::Deserializer::from_str(text).$method($($argument),*),
        }
    };
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = serde_json::Error;

    fn unit_variant(self) -> Result<(), serde_json::Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, serde_json::Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, serde_json::Error> {
        ask!(self.content()?, deserialize_seq, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        ask!(self.content()?, deserialize_map, visitor)
    }
}

/// Passes every question on to the payload, but a `RawEvent`'s, which wants the event type too.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, serde_json::Error> {
            ask!(self.content()?, $method, $($argument,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Variant<'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        if name != TOKEN {
            return ask!(self.content()?, deserialize_newtype_struct, name, visitor);
        }
        let payload = match self.event.content {
            Some(Content::Fields(form)) => Cow::Owned(to_json(form)?.to_string()),
            Some(Content::Json(text)) => Cow::Borrowed(text),
            None => Cow::Borrowed("null"),
        };
        let parts = [self.event.subject.whole, &payload];
        visitor.visit_seq(SeqDeserializer::new(parts.into_iter()))
    }

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}
