use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value};
use sha1::{Digest, Sha1};

use super::connection::Connection;

/// A Lua script on one key.
#[derive(Debug, Clone)]
pub(super) struct Script {
    source: String,
    hash: String,
}

impl Script {
    /// Creates a script from the prelude that reads the record and from its own part.
    pub(super) fn new(part: &str) -> Self {
        let source = format!("{}{part}", include_str!("scripts/record.lua"));
        let hash = data_encoding::HEXLOWER.encode(&Sha1::digest(&source));
        Self { source, hash }
    }

    /// Runs the script by its hash; a server that does not have it gets the whole script once.
    ///
    /// That is `EVAL` and not `SCRIPT LOAD`: in a cluster it reaches the node that needs it, and it takes no further
    /// round trip.
    pub(super) async fn run(&self, connection: &Connection, key: &str, arguments: &[&[u8]]) -> RedisResult<Value> {
        match connection.query(&command("EVALSHA", &self.hash, key, arguments)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                connection.query(&command("EVAL", &self.source, key, arguments)).await
            }
            done => done,
        }
    }
}

fn command(name: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key).arg(arguments);
    command
}
