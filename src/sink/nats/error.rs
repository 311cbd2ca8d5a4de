use std::{borrow::Cow, error::Error, sync::Arc};

use async_nats::jetstream;

use crate::{
    boxed::BoxError,
    error::{StoreError, StoreErrorKind},
};

/// The server cannot be reached, or did not answer in time. It is unknown whether the call had an effect.
pub(super) fn unavailable(context: impl Into<Arc<str>>, cause: impl Into<BoxError>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, context).with_source(cause)
}

/// The stream or consumer on the server cannot be used with its settings.
pub(super) fn refused(context: impl Into<Cow<'static, str>>) -> StoreError {
    StoreError::new(StoreErrorKind::Schema, Arc::from(context.into().as_ref()))
}

/// The number of JetStream's error among the causes of this error.
pub(super) fn code(error: &(dyn Error + 'static)) -> Option<u64> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<jetstream::Error>() {
            return Some(error.error_code().0);
        }
        cause = error.source();
    }
    None
}
