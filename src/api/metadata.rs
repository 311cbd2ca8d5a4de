use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, SchemaType, Type},
};

/// The schema of an endpoint's metadata.
pub(super) fn schema() -> RefOr<Schema> {
    metadata(Type::Object.into(), Type::String.into())
}

/// As in a merge patch (RFC 7396), in which `null` removes.
pub(super) fn patch_schema() -> RefOr<Schema> {
    metadata([Type::Object, Type::Null].into_iter().collect(), [Type::String, Type::Null].into_iter().collect())
}

/// The schema of the labels of a message or an endpoint.
pub(super) fn labels_schema() -> RefOr<Schema> {
    labels(Type::Object.into(), Type::String.into())
}

/// As [`patch_schema`].
pub(super) fn labels_patch_schema() -> RefOr<Schema> {
    labels([Type::Object, Type::Null].into_iter().collect(), [Type::String, Type::Null].into_iter().collect())
}

/// The bounds are those that the dispatcher checks.
fn metadata(whole: SchemaType, value: SchemaType) -> RefOr<Schema> {
    let name = ObjectBuilder::new().min_length(Some(1)).max_length(Some(40)).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"));
    let value = ObjectBuilder::new().schema_type(value).max_length(Some(500)).pattern(Some(r"^[^\x00]*$"));
    ObjectBuilder::new()
        .schema_type(whole)
        .property_names(Some(name.build()))
        .additional_properties(Some(RefOr::T(Schema::Object(value.build()))))
        .max_properties(Some(20))
        .examples([serde_json::json!({ "plan": "pro" })])
        .into()
}

/// The bounds are those that the dispatcher checks.
fn labels(whole: SchemaType, value: SchemaType) -> RefOr<Schema> {
    let name = ObjectBuilder::new().min_length(Some(1)).max_length(Some(40)).pattern(Some(r"^[A-Za-z0-9._-]+$"));
    let value = ObjectBuilder::new().schema_type(value).min_length(Some(1)).max_length(Some(100));
    let value = value.pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"));
    ObjectBuilder::new()
        .schema_type(whole)
        .property_names(Some(name.build()))
        .additional_properties(Some(RefOr::T(Schema::Object(value.build()))))
        .max_properties(Some(16))
        .examples([serde_json::json!({ "region": "eu" })])
        .into()
}
