//! Keeps spans and events with all of their fields, as text.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Everything that happened on this thread since [`capture`](Self::capture), down to the most talkative level.
#[derive(Clone, Default)]
pub(crate) struct Spans(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    closed: Vec<String>,
    events: Vec<String>,
}

impl Spans {
    pub(crate) fn capture() -> (Self, DefaultGuard) {
        // As in `logs.rs`: with a second subscriber, `tracing` asks each thread's own.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));

        let spans = Self::default();
        let guard = tracing_subscriber::registry().with(spans.clone()).set_default();
        (spans, guard)
    }

    /// The spans that have ended, each as `name field=value …`, in the order of their ends. Takes them.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().closed)
    }

    /// All spans and events, as text.
    pub(crate) fn text(&self) -> String {
        let seen = self.0.lock().unwrap();
        format!("{}\n{}", seen.closed.join("\n"), seen.events.join("\n"))
    }
}

/// A span's fields so far.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields(attributes.metadata().name().to_owned());
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(fields) = context.span(id).unwrap().extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut fields);
        self.0.lock().unwrap().events.push(fields.0);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<Fields>().map(|fields| fields.0.clone());
        self.0.lock().unwrap().closed.extend(fields);
    }
}
