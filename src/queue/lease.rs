use crate::fencing::token;

token! {
    /// Identifies the holder of a lease. It is random and new for every lease, so that a worker whose lease has ended
    /// cannot change anything.
    LeaseToken
}
