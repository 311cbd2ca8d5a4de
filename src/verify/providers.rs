use super::layer::WebhookLayer;
use crate::{
    scheme::provider::{Provider, catalogue::catalogue},
    secret::SecretSource,
};

macro_rules! constructors {
    ($(
        $(#[$doc:meta])*
        $constant:ident $constructor:ident $name:literal $title:literal [$($header:literal),*] $(if $feature:literal)? { $($fields:tt)* }
    )*) => {
        /// One constructor for each provider of the catalogue.
        impl WebhookLayer {
            $(
                #[doc = concat!("Creates a layer for the webhooks of ", $title, ".")]
                ///
                $(#[$doc])*
                ///
                /// # Panics
                /// When a constant secret is not of the form that the provider gives out.
                #[track_caller]
                $(#[cfg(feature = $feature)])?
                pub fn $constructor(secrets: impl SecretSource) -> Self {
                    Self::new(Provider::$constant, secrets)
                }
            )*
        }
    };
}

catalogue!(constructors);
