//! The client library of the Larder cache.
