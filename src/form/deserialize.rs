use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

/// A form whose fields are deserialized into a type. Values are text: numbers and booleans are parsed from it, and a
/// repeated field is a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'de>(pub(crate) &'de [u8]);

/// Returns the fields as a JSON object, for types that keep JSON unparsed.
pub(crate) fn to_json(body: &[u8]) -> Result<Value, serde_json::Error> {
    Value::deserialize(Fields(body))
}

/// Calls the library, and converts its error to that of serde_json.
macro_rules! ask {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
            serde_html_form::Deserializer::from_bytes(self.0).$method(visitor).map_err(de::Error::custom)
        }
    )*};
}

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = serde_json::Error;

    ask! { deserialize_any deserialize_seq deserialize_map deserialize_unit }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, serde_json::Error> {
        // serde_json recognises types such as `RawValue` by a name that no Rust type can have.
        if name.starts_with('$') {
            let text = to_json(self.0)?.to_string();
            return serde_json::Deserializer::from_reader(text.as_bytes()).deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit_struct
        tuple tuple_struct struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;
    use serde_json::{json, value::RawValue};

    use super::{Fields, to_json};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Command<'a> {
        command: &'a str,
        text: String,
        is_enterprise_install: bool,
        amount: Option<u64>,
        #[serde(default)]
        tags: Vec<String>,
        absent: Option<String>,
    }

    const BODY: &[u8] = b"command=/weather&text=San+Jos%C3%A9&is_enterprise_install=false&amount=7&tags=a&tags=b";

    #[test]
    fn fields_are_read_into_a_struct() {
        assert_eq!(
            Command::deserialize(Fields(BODY)).unwrap(),
            Command {
                command: "/weather",
                text: "San José".to_owned(),
                is_enterprise_install: false,
                amount: Some(7),
                tags: vec!["a".to_owned(), "b".to_owned()],
                absent: None,
            }
        );
    }

    #[test]
    fn a_field_that_is_there_twice_does_not_fit_where_one_is_wanted() {
        assert!(HashMap::<String, String>::deserialize(Fields(b"a=1&a=2")).is_err());
        assert!(HashMap::<String, u8>::deserialize(Fields(b"a=x")).is_err());
        assert!(Vec::<(String, String)>::deserialize(Fields(b"a=1&a=2")).is_ok());
    }

    #[test]
    fn types_that_hold_json_get_an_object() {
        let object = json!({ "a": "1", "b": ["2", "3"] });

        assert_eq!(to_json(b"a=1&b=2&b=3").unwrap(), object);
        let raw = Box::<RawValue>::deserialize(Fields(b"a=1&b=2&b=3")).unwrap();
        assert_eq!(raw.get(), object.to_string());
        assert!(<&RawValue>::deserialize(Fields(b"a=1")).is_err());
    }
}
