use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::{boxed::BoxError, delivery::Delivery, pattern::PatternTable};

/// Turns a payload of one API version into the next one's.
pub(super) type Upcaster = Arc<dyn Fn(Value) -> Result<Value, BoxError> + Send + Sync>;

/// The steps from version to version, by event type and by the version they begin at.
#[derive(Clone, Default)]
pub(super) struct Upcasters {
    from: HashMap<Arc<str>, PatternTable<Step>>,
}

#[derive(Clone)]
struct Step {
    to: Arc<str>,
    upcaster: Upcaster,
}

/// No chain of versions is longer; a ring of them would never end.
const LONGEST_CHAIN: usize = 64;

impl Upcasters {
    pub(super) fn insert(
        &mut self,
        pattern: &str,
        from: &str,
        to: &str,
        upcaster: Upcaster,
    ) -> Result<(), crate::pattern::Refused> {
        self.from.entry(from.into()).or_default().insert(pattern, Step { to: to.into(), upcaster })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from.is_empty()
    }

    pub(super) fn merge(&mut self, other: Self) -> Result<(), (String, crate::pattern::Refused)> {
        for (from, table) in other.from {
            let ours = self.from.entry(from).or_default();
            for (pattern, step) in table.into_entries() {
                ours.insert(&pattern, step).map_err(|refused| (pattern, refused))?;
            }
        }
        Ok(())
    }

    /// Takes a delivery through every step that begins at its version. `None` when there is none.
    pub(super) fn apply(&self, delivery: &Delivery) -> Option<Result<Delivery, BoxError>> {
        let subject = delivery.event_type()?;
        let mut version: Arc<str> = delivery.api_version()?.into();
        let mut steps = Vec::new();
        while let Some(step) = self.from.get(&version).and_then(|table| table.get(subject.subject())) {
            steps.push(step);
            version = Arc::clone(&step.to);
            if steps.len() > LONGEST_CHAIN {
                return Some(Err("the upcasters form a ring".into()));
            }
        }
        if steps.is_empty() {
            return None;
        }
        let upcast = |payload: Value| steps.iter().try_fold(payload, |payload, step| (step.upcaster)(payload));
        Some(delivery.with_payload(&version, upcast))
    }
}
