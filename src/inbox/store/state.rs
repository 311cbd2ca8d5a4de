/// How an event is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // A store keeps each of them.
pub enum EventState {
    /// It failed for good, and waits for somebody to look at it.
    Dead,
    /// It was given up, by its handler or by hand.
    Discarded,
    /// It was handled.
    Done,
    /// It waits to be worked.
    Pending,
    /// A worker holds it.
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

    /// Returns the state of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Returns `true` if the event has ended: nothing becomes of it by itself.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Dead | Self::Discarded | Self::Done)
    }
}
