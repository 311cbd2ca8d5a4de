use redis::Cmd;
use sha1::{Digest, Sha1};

/// A Lua script on a number of keys, all of which its caller names.
#[derive(Debug, Clone)]
pub(super) struct Script {
    source: String,
    hash: String,
}

impl Script {
    /// Creates a script from a prelude and its own part.
    pub(super) fn new(prelude: &str, part: &str) -> Self {
        let source = format!("{prelude}{part}");
        let hash = data_encoding::HEXLOWER.encode(&Sha1::digest(&source));
        Self { source, hash }
    }

    /// Returns the command that runs the script on a server that has it.
    pub(super) fn by_hash<K: AsRef<[u8]>>(&self, keys: &[K], arguments: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.hash, keys, arguments)
    }

    /// Returns the command that runs the script anywhere.
    pub(super) fn whole<K: AsRef<[u8]>>(&self, keys: &[K], arguments: &[&[u8]]) -> Cmd {
        command("EVAL", &self.source, keys, arguments)
    }
}

fn command<K: AsRef<[u8]>>(name: &str, script: &str, keys: &[K], arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    command.arg(arguments);
    command
}
