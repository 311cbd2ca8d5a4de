//! The stores, one folder a backend.
