/// The state of an event.
///
/// ```
/// use tower_webhooks::inbox::EventState;
///
/// assert_eq!(EventState::Dead.as_str(), "dead");
/// assert_eq!(EventState::of_name("pending"), Some(EventState::Pending));
/// assert!(EventState::Dead.has_ended() && !EventState::Working.has_ended());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // A store keeps each of them.
pub enum EventState {
    /// All attempts failed; the event is kept so that an operator can replay or discard it.
    Dead,
    /// The event was discarded by its handler or by an operator.
    Discarded,
    /// The event was handled.
    Done,
    /// The event waits for a worker.
    Pending,
    /// A worker handles the event.
    Working,
}

impl EventState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Dead, Self::Discarded, Self::Done, Self::Pending, Self::Working];

    /// Returns the state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Done => "done",
            Self::Pending => "pending",
            Self::Working => "working",
        }
    }

    /// Returns the state with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns `true` if the event has ended: its state does not change unless it is replayed, or sent again when it is
    /// dead.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Dead | Self::Discarded | Self::Done)
    }
}
