#![doc = include_str!("../../../docs/typed-payloads.md")]
