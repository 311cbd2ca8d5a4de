use super::{
    script::{Script, Sizes},
    sql,
};

/// The statements of a store.
pub(super) struct Statements {
    pub(super) prefix: String,
    /// Of some attempts that have ended: their deliveries and endpoints.
    pub(super) held: Script,
    /// Writes how attempts have ended.
    pub(super) finish: Sizes,
    /// What changes when another connection writes.
    pub(super) version: Script,
    /// The version, whether something ends too late, and the endpoints that may have something to lease.
    pub(super) look: Script,
    /// Ends what ends too late, and reads the endpoints that may have something to lease.
    pub(super) see: Script,
    /// Moves the time at which endpoints are looked at.
    pub(super) move_on: Script,
    /// Of some endpoints: their rows, and what is due.
    pub(super) waiting: Script,
    /// Of some endpoints: what is due.
    pub(super) due: Script,
    /// Returns deliveries whose worker died to their places.
    pub(super) take_back: Script,
    /// Cancels deliveries that have lost their content, and puts others aside.
    pub(super) set_aside: Script,
    /// Leases deliveries, notes how their endpoints are doing, and reads their messages.
    pub(super) take: Sizes,
    /// Takes back the leases of deliveries whose messages cannot be read.
    pub(super) put_back: Script,
    /// When something is due next.
    pub(super) next_due: Script,
}

impl Statements {
    pub(super) fn new(prefix: &str) -> Self {
        let script = |statements: &[&str]| Script::new(prefix, statements);
        Self {
            prefix: prefix.to_owned(),
            held: script(&[sql::HELD, &sql::receivers()]),
            finish: Sizes::new(prefix, &sql::WRITE),
            version: script(&[sql::VERSION]),
            look: script(&[sql::VERSION, sql::LATE, sql::SEE]),
            see: script(&[sql::END[0], sql::END[1], sql::SEE]),
            move_on: script(&[sql::MOVE_ON]),
            waiting: script(&[&sql::waiting(), sql::DUE]),
            due: script(&[sql::DUE]),
            take_back: script(&[sql::TAKE_BACK]),
            set_aside: script(&sql::SET_ASIDE),
            take: Sizes::new(prefix, &sql::TAKE),
            put_back: script(&[sql::PUT_BACK]),
            next_due: script(&sql::NEXT_DUE),
        }
    }
}
