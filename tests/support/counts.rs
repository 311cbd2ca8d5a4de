//! A recorder for counters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// Counts by `name{label="value",…}`: counters, the number of times in a histogram, and gauges with their value and, as
/// `most name`, their highest value.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct Count(Counts, String);

impl Count {
    fn add(&self, value: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, _value: u64) {}
}

impl HistogramFn for Count {
    fn record(&self, value: f64) {
        assert!((0.0..60.0).contains(&value), "{value} s");
        self.add(1);
    }
}

impl GaugeFn for Count {
    fn increment(&self, value: f64) {
        self.add(value as u64);
        let mut counts = self.0.0.lock().unwrap();
        let now = counts[&self.1];
        let most = counts.entry(format!("most {}", self.1)).or_default();
        *most = now.max(*most);
    }

    fn decrement(&self, value: f64) {
        let mut counts = self.0.0.lock().unwrap();
        let now = counts.get_mut(&self.1).unwrap();
        *now = now.checked_sub(value as u64).expect("no gauge falls below nought");
    }

    fn set(&self, _value: f64) {}
}

impl Counts {
    fn entry(&self, key: &Key) -> Arc<Count> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        Arc::new(Count(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    /// Every name that was counted, with its labels.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_gauge(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn describe_histogram(&self, _key: KeyName, _unit: Option<Unit>, _description: SharedString) {}

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.entry(key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.entry(key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.entry(key))
    }
}
