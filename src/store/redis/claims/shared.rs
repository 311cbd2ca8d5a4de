use std::sync::Arc;

use redis::Value;

use crate::{
    error::{StoreError, StoreErrorKind},
    idempotency::{ClaimKey, ClaimToken, Fenced},
    store::redis::{
        script::Script,
        server::{Lost, Server},
    },
};

/// The scripts of claims, and where their records are.
#[derive(Debug)]
pub(in crate::store::redis) struct Claims {
    server: Arc<Server>,
    prefix: String,
    pub(super) claim: Script,
    pub(super) complete: Script,
    pub(super) is_done: Script,
    pub(super) release: Script,
    pub(super) renew: Script,
}

impl Claims {
    pub(in crate::store::redis) fn new(server: &Arc<Server>, prefix: &str) -> Self {
        let script = |part| Script::new(include_str!("scripts/record.lua"), part);
        Self {
            server: Arc::clone(server),
            prefix: format!("{prefix}claim:"),
            claim: script(include_str!("scripts/claim.lua")),
            complete: script(include_str!("scripts/complete.lua")),
            is_done: script(include_str!("scripts/is_done.lua")),
            release: script(include_str!("scripts/release.lua")),
            renew: script(include_str!("scripts/renew.lua")),
        }
    }

    /// Runs a script on the key of a delivery within the timeout, and repeats it once when its connection turns out to be
    /// lost: calls are idempotent per token.
    pub(super) async fn run(
        &self,
        context: &'static str,
        script: &Script,
        key: ClaimKey,
        token: ClaimToken,
        arguments: &[&[u8]],
    ) -> Result<Vec<Value>, StoreError> {
        let key = format!("{}{}", self.prefix, data_encoding::HEXLOWER.encode(&key.to_bytes()));
        let token = token.to_bytes();
        let arguments = [&[&token[..]], arguments].concat();
        match self.server.run(context, script, (&[key], &arguments), Lost::Again).await? {
            Value::Array(answer) if answer.first() == Some(&Value::Int(OTHER_VERSION)) => {
                Err(StoreError::new(StoreErrorKind::Schema, UNKNOWN_VERSION))
            }
            Value::Array(answer) if answer.first() != Some(&Value::Int(NO_RECORD)) => Ok(answer),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
        }
    }

    pub(super) async fn fenced(
        &self,
        context: &'static str,
        script: &Script,
        key: ClaimKey,
        token: ClaimToken,
        arguments: &[&[u8]],
    ) -> Result<Fenced, StoreError> {
        match self.run(context, script, key, token, arguments).await?.as_slice() {
            [Value::Int(0)] => Ok(Fenced::Stale),
            [Value::Int(1)] => Ok(Fenced::Applied),
            _ => Err(StoreError::new(StoreErrorKind::Corrupt, context)),
        }
    }
}

const OTHER_VERSION: i64 = -1;

const NO_RECORD: i64 = -2;

const UNKNOWN_VERSION: &str =
    "the record was written by another version of this crate; upgrade `tower-webhooks`, or use another prefix";
