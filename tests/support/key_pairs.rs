//! Published pairs of keys for Standard Webhooks `v1a`, private and public. They open nothing.
#![allow(dead_code)] // Each test file uses a part of it.

/// The first is the example of Svix's documentation, seed and public key; the others are of RFC 8032, section 7.1, tests 1 and
/// 2, and hold the seed alone.
pub(crate) const PAIRS: [[&str; 2]; 3] = [
    [
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    ],
    ["whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="],
    ["whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=", "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="],
];

pub(crate) const V1A: &str = "standard-webhooks-v1a";

/// What a sender signs with: the private key of this number under `v1a`, `otherwise` in any other scheme.
pub(crate) fn of_sender<'t>(scheme: &str, number: usize, otherwise: &'t str) -> &'t str {
    if scheme == V1A { PAIRS[number][0] } else { otherwise }
}

/// What a receiver checks with.
pub(crate) fn of_receiver<'t>(scheme: &str, number: usize, otherwise: &'t str) -> &'t str {
    if scheme == V1A { PAIRS[number][1] } else { otherwise }
}
