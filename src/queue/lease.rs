use crate::fencing::token;

token! {
    /// Who holds a lease: random, new for every lease, so that a worker whose lease has ended changes nothing.
    LeaseToken
}
