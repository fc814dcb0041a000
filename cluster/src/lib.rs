//! What Larder servers and clients must agree on.
