//! Hostile input costs no more than its length: what the decoders allocate is counted, byte by
//! byte, at one length and at eight times that.

mod cost;
mod counting_allocator;
mod files;
mod messages;
mod mutations;
mod replies;
