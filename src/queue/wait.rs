use std::time::Duration;

/// Returns a wait between zero and `most`, so that workers that failed together do not retry together. `random` is a
/// uniformly distributed random number.
pub(crate) fn full_jitter(most: Duration, random: u64) -> Duration {
    most.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::full_jitter;

    #[test]
    fn a_wait_is_between_nothing_and_the_most() {
        let most = Duration::from_secs(10);

        assert_eq!(full_jitter(most, 0), Duration::ZERO);
        assert_eq!(full_jitter(most, u64::MAX), most);
        assert!(full_jitter(most, u64::MAX / 2).abs_diff(most / 2) < Duration::from_millis(1));
    }
}
