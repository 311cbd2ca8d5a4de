use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{
    boxed::BoxError,
    error::{ConfigError, ConfigErrorKind},
    panics::caught,
    send::{
        error::SendError,
        message::{
            message::{Message, is_version},
            own::{ENDPOINT_DISABLED, ENDPOINT_PING},
        },
    },
};

/// The versions of the application's API, from the newest to the oldest, and how a payload of one version is converted to the
/// next older one. [`DispatcherBuilder::api_versions`](crate::send::DispatcherBuilder::api_versions) sets them.
///
/// The application dispatches payloads of the newest version. For an endpoint that was registered for an older version they
/// are converted, step by step, when they are sent. `api_version` in the envelope is the version that the endpoint got. An
/// endpoint without a version gets every message unchanged.
///
/// 1. A message that names a version is converted from that version. One without a version is treated as the newest at the
///    time of sending. So name the version: then messages that wait are not affected when a new version is introduced.
/// 2. Nothing is converted to a newer version. A message that is older than its endpoint's version is sent unchanged, with its own
///    version in the envelope.
/// 3. This crate's own messages, `endpoint.ping` and `endpoint.disabled`, are the same in all versions, and name none.
/// 4. A worker converts, once for each attempt or for several at the same time. A conversion must give the same result each
///    time, and must not block. If it fails or panics, the attempt fails with the class `conversion`: nothing is sent, the
///    failure does not count against the endpoint, and the attempt is retried by the schedule. A release with a corrected
///    conversion then delivers the message.
///
/// ```
/// use tower_webhooks::send::ApiVersions;
///
/// let versions = ApiVersions::newest("2026-06")?.older("2025-01", |event_type, mut payload| {
///     if event_type.starts_with("order.") {
///         // `total` was a number of cents until it became an object.
///         payload["total"] = payload["total"]["cents"].take();
///     }
///     Ok(payload)
/// })?;
///
/// assert!(versions.older("2026-06", |_, payload| Ok(payload)).is_err()); // it exists already
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ApiVersions {
    /// The newest first.
    versions: Vec<Version>,
}

#[derive(Clone)]
struct Version {
    name: Arc<str>,
    /// From a payload of the version before this one in the list. The newest has nothing before it.
    convert: Option<Convert>,
}

type Convert = Arc<dyn Fn(&str, Value) -> Result<Value, BoxError> + Send + Sync>;

impl ApiVersions {
    /// Creates the list with the newest version, which is that of the application's payloads.
    ///
    /// # Errors
    /// When the name is not 1 to 64 letters, digits, `.`, `_` and `-`.
    pub fn newest(name: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        Self { versions: Vec::new() }.with(name.into(), None)
    }

    /// Adds the next older version. `convert` gets the event type and a payload of the version that was added before, and returns
    /// the payload of this version. It returns a payload that did not change as it is.
    ///
    /// As in any [`Value`], numbers that fit neither an `f64` nor 64 bits are rounded, and members of objects are in alphabetical
    /// order. An error of `convert` is logged, so it must not contain anything of the payload.
    ///
    /// # Errors
    /// When the name is not 1 to 64 letters, digits, `.`, `_` and `-`, or exists already.
    pub fn older(
        self,
        name: impl Into<Arc<str>>,
        convert: impl Fn(&str, Value) -> Result<Value, BoxError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        self.with(name.into(), Some(Arc::new(convert)))
    }

    fn with(mut self, name: Arc<str>, convert: Option<Convert>) -> Result<Self, ConfigError> {
        let error = |message| Err(ConfigError::new(ConfigErrorKind::Option, message));
        if !is_version(&name) {
            return error("an API version is 1 to 64 letters, digits, `.`, `_` and `-`".to_owned());
        }
        if self.knows(&name) {
            return error(format!("the API version `{name}` is there twice"));
        }
        self.versions.push(Version { name, convert });
        Ok(self)
    }

    /// Returns the names, from the newest to the oldest.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(|version| &*version.name)
    }

    /// Returns `true` if a version is one of these.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Returns an error that names the known versions. They are in every envelope, so they are not secret.
    pub(crate) fn unknown(version: &str, versions: Option<&Self>) -> SendError {
        let shown: String = version.chars().take(64).collect();
        let known: Vec<_> = versions.into_iter().flat_map(Self::names).map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        SendError::invalid(format!("unknown API version `{}`; the known ones are: {known}", shown.escape_debug()))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.versions.iter().position(|version| &*version.name == name)
    }

    /// Returns what an endpoint of the version `to` gets of a message, or `None` if that is the message itself.
    pub(crate) fn convert(&self, message: &Message, to: &str) -> Result<Option<Message>, BoxError> {
        let place = |name: &str| self.place(name).ok_or_else(|| format!("unknown API version `{name}`"));
        let to = place(to)?;
        let from = message.api_version().map_or(Ok(0), place)?;
        if from > to || OURS.contains(&message.event_type()) {
            return Ok(None);
        }
        let version = &self.versions[to];
        let steps = &self.versions[from + 1..=to];
        if steps.is_empty() {
            let unnamed = message.api_version().is_none();
            return Ok(unnamed.then(|| message.clone().version(version.name.clone())));
        }
        let mut payload: Value = serde_json::from_str(message.payload().get())?;
        for step in steps {
            let Some(convert) = &step.convert else { continue };
            let converted = caught(|| convert(message.event_type(), payload));
            payload =
                converted.map_err(|_| format!("the conversion to the API version `{}` panicked", step.name))??;
        }
        Ok(Some(message.converted(&payload)?.version(version.name.clone())))
    }
}

impl fmt::Debug for ApiVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The messages of this crate itself.
const OURS: [&str; 2] = [ENDPOINT_DISABLED, ENDPOINT_PING];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ApiVersions;
    use crate::send::message::message::Message;

    fn versions() -> ApiVersions {
        let note = |name: &'static str| {
            move |event_type: &str, mut payload: Value| {
                if event_type == "broken" {
                    return Err("a mistake".into());
                }
                assert_ne!(event_type, "panics", "a converter of the test");
                payload["by"] = format!("{}{name}", payload["by"].as_str().unwrap_or_default()).into();
                Ok(payload)
            }
        };
        ApiVersions::newest("3").unwrap().older("2", note("b")).unwrap().older("1", note("a")).unwrap()
    }

    fn message(event_type: &str) -> Message {
        Message::new(event_type, &json!({})).unwrap()
    }

    #[test]
    fn a_payload_is_converted_step_by_step_and_never_to_a_newer_version() {
        for (from, to, payload, version) in [
            (None, "3", "{}", Some("3")),
            (None, "2", r#"{"by":"b"}"#, Some("2")),
            (None, "1", r#"{"by":"ba"}"#, Some("1")),
            (Some("3"), "1", r#"{"by":"ba"}"#, Some("1")),
            (Some("2"), "1", r#"{"by":"a"}"#, Some("1")),
            (Some("2"), "2", "{}", Some("2")),
            (Some("1"), "3", "{}", Some("1")),
        ] {
            let sent = match from {
                Some(from) => message("a").version(from),
                None => message("a"),
            };
            let got = versions().convert(&sent, to).unwrap().unwrap_or(sent.clone());

            assert_eq!((got.payload().get(), got.api_version()), (payload, version), "{from:?} to {to}");
            assert_eq!(got.message_id(), sent.message_id());
        }
    }

    #[test]
    fn what_this_crate_says_is_the_same_in_all_versions() {
        for event_type in ["endpoint.ping", "endpoint.disabled"] {
            assert!(versions().convert(&message(event_type), "1").unwrap().is_none(), "{event_type}");
        }
    }

    #[test]
    fn what_cannot_be_converted_is_an_error() {
        for (message, to) in
            [(message("broken"), "2"), (message("panics"), "2"), (message("a"), "0"), (message("a").version("0"), "1")]
        {
            assert!(versions().convert(&message, to).is_err(), "{message:?} to {to}");
        }

        let grows = ApiVersions::newest("2").unwrap();
        let grows = grows.older("1", |_, _| Ok("x".repeat(Message::MAX_PAYLOAD).into())).unwrap();
        assert!(grows.convert(&message("a"), "1").is_err());
    }

    #[test]
    fn a_list_of_versions_names_each_once() {
        let same = |_: &str, payload| Ok(payload);

        assert!(ApiVersions::newest("").is_err());
        assert!(ApiVersions::newest("1").unwrap().older("a b", same).is_err());
        assert!(versions().older("2", same).is_err());
        assert_eq!(versions().names().collect::<Vec<_>>(), ["3", "2", "1"]);
    }
}
