//! The answers of scripts, read one value after the other.

use std::vec::IntoIter;

use redis::Value;

use crate::{
    clock::Millis,
    error::{StoreError, StoreErrorKind},
    inbox::InboxId,
};

/// What is left of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    context: &'static str,
    values: IntoIter<Value>,
}

impl Answer {
    pub(super) fn new(context: &'static str, values: Vec<Value>) -> Self {
        Self { context, values: values.into_iter() }
    }

    pub(super) fn int(&mut self) -> Result<i64, StoreError> {
        match self.values.next() {
            Some(Value::Int(int)) => Ok(int),
            _ => Err(self.unreadable()),
        }
    }

    pub(super) fn small(&mut self) -> Result<u32, StoreError> {
        let int = self.int()?;
        u32::try_from(int).map_err(|_| self.unreadable())
    }

    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        let int = self.int()?;
        u64::try_from(int).map_err(|_| self.unreadable())
    }

    /// A time, or none for a negative one.
    pub(super) fn time(&mut self) -> Result<Option<Millis>, StoreError> {
        Ok(Some(self.int()?).filter(|time| *time >= 0))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        self.maybe_bytes()?.ok_or_else(|| self.unreadable())
    }

    pub(super) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(Value::Nil) | None => Ok(None),
            Some(_) => Err(self.unreadable()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| self.unreadable())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.bytes()?.try_into().map_err(|_| self.unreadable())
    }

    pub(super) fn id(&mut self) -> Result<InboxId, StoreError> {
        self.text()?.parse().map_err(|_| self.unreadable())
    }

    /// Several values in one, if there are any.
    pub(super) fn maybe_list(&mut self) -> Result<Option<Self>, StoreError> {
        match self.values.next() {
            Some(Value::Array(values)) => Ok(Some(Self::new(self.context, values))),
            Some(Value::Nil) | None => Ok(None),
            Some(_) => Err(self.unreadable()),
        }
    }

    pub(super) fn list(&mut self) -> Result<Self, StoreError> {
        self.maybe_list()?.ok_or_else(|| self.unreadable())
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn unreadable(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Corrupt, self.context)
    }
}
