//! What is asked of the process's allocator beside memory: to give back what it keeps for later.

/// Has the allocator give the system all memory that it keeps for later requests. It takes as long as the
/// system needs to take the pages.
pub(in crate::store) fn purge() {
    /// Stands for all of jemalloc's arenas.
    const PURGE_ALL: &std::ffi::CStr = c"arena.4096.purge";
    // SAFETY: the name is a C string; this control takes and gives no data.
    unsafe {
        tikv_jemalloc_sys::mallctl(
            PURGE_ALL.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            0,
        );
    }
}
