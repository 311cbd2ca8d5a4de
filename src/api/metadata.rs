use utoipa::openapi::{
    RefOr,
    schema::{ObjectBuilder, Schema, SchemaType, Type},
};

/// The schema of an endpoint's metadata.
pub(super) fn schema() -> RefOr<Schema> {
    object(Type::Object.into(), Type::String.into())
}

/// As in a merge patch (RFC 7396), in which `null` removes.
pub(super) fn patch_schema() -> RefOr<Schema> {
    object([Type::Object, Type::Null].into_iter().collect(), [Type::String, Type::Null].into_iter().collect())
}

/// The bounds are those that the dispatcher checks.
fn object(whole: SchemaType, value: SchemaType) -> RefOr<Schema> {
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
