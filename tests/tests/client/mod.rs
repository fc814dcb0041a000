//! The client: its library and its command line tool, against Larder and the real Redis.

mod cli;
