use serde_json::{Map, Value};

use super::{Content, Draft, Shape, split};
use crate::{
    delivery::Fact,
    error::ConfigError,
    field::Place,
    form::{self, Form},
    json::Pointer,
};

impl Draft<'_> {
    /// Writes the body, with the facts that have their place in it.
    pub(super) fn write_body(
        &mut self,
        content: Content,
        id: Option<&str>,
        event_type: Option<&str>,
    ) -> Result<(), ConfigError> {
        let payload = match content {
            Content::Body(body) => {
                self.body = body.to_vec();
                return Ok(());
            }
            Content::Payload(payload) => payload,
        };
        let layout = &self.template.layout;
        if self.shape == Shape::Fields {
            return self.write_fields(payload, id, event_type);
        }
        let mut envelope = Value::Object(Map::new());
        self.put(&mut envelope, layout.payload(), payload)?;
        // The type was asked for by name; an id of the payload's own is left to it.
        if let (Some(text), Some(places)) = (event_type, layout.places(Fact::EventType)) {
            let (base, joined) = split(places, text);
            if let Some(Place::Json(pointer)) = self.first(places) {
                self.put(&mut envelope, pointer, base.into())?;
            }
            if let Some((joined, text)) = joined
                && let Some(pointer) = joined.pointers().next()
            {
                self.put(&mut envelope, pointer, text.into())?;
            }
        }
        let id_places = layout.places(Fact::Id).or(self.template.id.as_ref());
        if let (Some(id), Some(Place::Json(pointer))) = (id, id_places.and_then(|places| self.first(places))) {
            self.put(&mut envelope, pointer, id.into())?;
        }
        if let Some(batch) = layout.batch() {
            let mut whole = Value::Object(Map::new());
            self.put(&mut whole, batch, Value::Array(vec![envelope]))?;
            envelope = whole;
        }
        self.body = envelope.to_string().into_bytes();
        Ok(())
    }

    /// Writes what becomes the fields of a form: an object without a level below.
    pub(super) fn write_fields(
        &mut self,
        payload: Value,
        id: Option<&str>,
        event_type: Option<&str>,
    ) -> Result<(), ConfigError> {
        let layout = &self.template.layout;
        let mut fields = payload;
        for (fact, text) in [(Fact::Id, id), (Fact::EventType, event_type)] {
            let (Some(places), Some(text)) = (layout.places(fact), text) else { continue };
            let names: Vec<_> = places.pointers().filter(|pointer| pointer.tokens().len() == 1).collect();
            // A scheme for JSON and forms names the places of its forms last.
            if let Some(place) = names.last()
                && !names.iter().any(|pointer| fields.get(&pointer.tokens()[0]).is_some())
            {
                self.put(&mut fields, place, text.into())?;
            }
        }
        self.body = fields.to_string().into_bytes();
        Ok(())
    }

    /// Makes a form of the JSON that is the body so far.
    pub(super) fn write_form(&mut self) -> Result<(), ConfigError> {
        let form = self.template.layout.form();
        match self.shape {
            Shape::Json => {}
            Shape::Form => {
                let field = form
                    .and_then(Form::json_field)
                    .ok_or_else(|| self.scheme.unsignable("it names no field of a form that holds JSON"))?;
                self.body = form::write([(field, &*self.body)]);
            }
            Shape::Fields => {
                if !form.is_some_and(Form::has_fields) {
                    return Err(self.scheme.unsignable("it takes no form whose fields are the payload"));
                }
                if form::is_form(&self.body) {
                    return Ok(());
                }
                let Ok(Value::Object(fields)) = serde_json::from_slice(&self.body) else {
                    return Err(self.scheme.unsignable("the payload of a form is an object"));
                };
                let mut pairs = Vec::new();
                for (name, value) in &fields {
                    let values = match value {
                        Value::Array(values) => values.as_slice(),
                        value => std::slice::from_ref(value),
                    };
                    for value in values {
                        let text = match value {
                            Value::Null => continue,
                            Value::String(text) => text.clone(),
                            Value::Bool(_) | Value::Number(_) => value.to_string(),
                            Value::Array(_) | Value::Object(_) => {
                                let why = format!("the field `{name}` of a form is text, or a list of texts");
                                return Err(self.scheme.unsignable(&why));
                            }
                        };
                        pairs.push((name.as_str(), text));
                    }
                }
                self.body = form::write(pairs.iter().map(|(name, text)| (*name, text.as_bytes())));
            }
        }
        Ok(())
    }

    pub(super) fn holds(&self, pointer: &Pointer) -> bool {
        crate::json::scalars(&self.body, std::slice::from_ref(pointer))
            .is_ok_and(|found| found.into_iter().next().flatten().is_some())
    }

    /// Puts a value into a body that is there already.
    pub(super) fn edit_body(&mut self, pointer: &Pointer, value: Value) -> Result<(), ConfigError> {
        let mut whole: Value = serde_json::from_slice(&self.body)
            .map_err(|_| self.scheme.unsignable(&format!("the place `{pointer}` is in a body that is not JSON")))?;
        self.put(&mut whole, pointer, value)?;
        self.body = whole.to_string().into_bytes();
        Ok(())
    }

    pub(super) fn put(&self, whole: &mut Value, pointer: &Pointer, value: Value) -> Result<(), ConfigError> {
        let mut place = whole;
        for token in pointer.tokens() {
            place = match place {
                Value::Object(object) => object.entry(token.as_str()).or_insert_with(|| Value::Object(Map::new())),
                Value::Array(array) => token
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| array.get_mut(index))
                    .ok_or_else(|| self.scheme.unsignable(&format!("there is no place `{pointer}` in the body")))?,
                _ => {
                    let why = format!("something has its place at `{pointer}`, and the payload leaves no room for it");
                    return Err(self.scheme.unsignable(&why));
                }
            };
        }
        *place = value;
        Ok(())
    }
}
