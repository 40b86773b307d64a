//! Maps the pages that keys live in: guard page, locked pages, guard page.
//!
//! Two ways, tried in this order. `memfd_secret` (Linux 5.14): the pages leave the kernel's direct map, so neither
//! `/proc/self/mem`, `process_vm_readv` nor a kernel read reaches them; they never swap, and MADV_DONTFORK keeps them from
//! children. Otherwise anonymous pages, each of MADV_DONTDUMP, MADV_WIPEONFORK and mlock checked. Both count against
//! RLIMIT_MEMLOCK. All pages are touched at once, so that a shortage shows here and not in the middle of a request.
#![allow(unsafe_code, reason = "memory that the allocator must never see is mapped by hand; nowhere else (STYLE §10)")]

use std::{io, ptr::NonNull};

use libc::{c_int, c_void};
use rustix::process::{Resource, getrlimit};

use crate::error::Error;

/// How the pages are kept from the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `memfd_secret`: out of the kernel's direct map.
    SecretMemory,
    /// Anonymous pages: locked, left out of dumps, wiped in children.
    Locked,
}

impl Mode {
    /// A word for metrics and health.
    pub fn name(self) -> &'static str {
        match self {
            Self::SecretMemory => "secretmem",
            Self::Locked => "mlock",
        }
    }
}

/// Which ways are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `memfd_secret`, else locked pages.
    Best,
    /// Locked pages only (kernels where hibernation matters more: secret memory forbids it).
    LockedOnly,
}

/// The mapping. Unmapped (and wiped first) when dropped.
pub(super) struct Pages {
    whole: NonNull<c_void>,
    whole_bytes: usize,
    first: NonNull<u8>,
    bytes: usize,
    mode: Mode,
    /// The inner part may be read and written: what was never opened needs no wiping.
    open: bool,
}

// SAFETY: `Pages` owns its mapping like a Box<[u8]>; access goes through `slice`/`slice_mut`, whose callers own disjoint ranges.
unsafe impl Send for Pages {}
// SAFETY: as above; no interior state besides the bytes, whose ranges are each owned by one `Secret`.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps at least `bytes`, rounded up to whole pages.
    pub(super) fn map(bytes: usize, wanted: Wanted) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        let too_many = || Error::Memory { call: "mmap", why: "more key slots than this machine can address".into() };
        let bytes = bytes.max(1).checked_next_multiple_of(page).ok_or_else(too_many)?;
        let whole_bytes = bytes.checked_add(2 * page).ok_or_else(too_many)?;
        let secret = match wanted {
            Wanted::Best => Self::secret_memory(whole_bytes, page).ok(),
            Wanted::LockedOnly => None,
        };
        // Why secret memory failed decides nothing: the fallback gives the same promise to keys, or refuses.
        let mut pages = match secret {
            Some(pages) => pages,
            None => Self::locked_pages(whole_bytes, page)?,
        };
        pages.touch();
        Ok(pages)
    }

    /// Maps `whole_bytes` without access, so that the first and last page stay as guards. One call: nothing of ours is ever
    /// replaced, so a failure leaves no hole that another thread's memory could fall into.
    fn reserve(whole_bytes: usize, page: usize, flags: c_int, fd: c_int, mode: Mode) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let whole = unsafe { libc::mmap(std::ptr::null_mut(), whole_bytes, libc::PROT_NONE, flags, fd, 0) };
        if whole == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let whole = NonNull::new(whole).ok_or_else(|| errno(libc::EFAULT))?;
        // SAFETY: `page` is inside the mapping, which is longer than two pages.
        let first = unsafe { whole.cast::<u8>().add(page) };
        Ok(Self { whole, whole_bytes, first, bytes: whole_bytes - 2 * page, mode, open: false })
    }

    fn secret_memory(whole_bytes: usize, page: usize) -> io::Result<Self> {
        let length = libc::off_t::try_from(whole_bytes).map_err(|_| errno(libc::EINVAL))?;
        // SAFETY: the call takes flags and answers a descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let fd = c_int::try_from(fd).map_err(|_| errno(libc::EBADF))?;
        checked(fd)?;
        // SAFETY: `fd` is an open memory file of ours, for this call and the next two.
        let pages = checked(unsafe { libc::ftruncate(fd, length) })
            .and_then(|()| Self::reserve(whole_bytes, page, libc::MAP_SHARED, fd, Mode::SecretMemory));
        // SAFETY: `fd` is ours and not used again; the mapping keeps the pages alive.
        checked(unsafe { libc::close(fd) })?;
        let mut pages = pages?;
        pages.open()?;
        // A shared mapping refuses WIPEONFORK: children do not get it at all.
        pages.advise(libc::MADV_DONTFORK)?;
        Ok(pages)
    }

    fn locked_pages(whole_bytes: usize, page: usize) -> Result<Self, Error> {
        let failed = |call| move |why: io::Error| Error::Memory { call, why: why.to_string() };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let mut pages = Self::reserve(whole_bytes, page, flags, -1, Mode::Locked).map_err(failed("mmap"))?;
        pages.open().map_err(failed("mprotect"))?;
        pages.advise(libc::MADV_DONTDUMP).map_err(failed("madvise(MADV_DONTDUMP)"))?;
        pages.advise(libc::MADV_WIPEONFORK).map_err(failed("madvise(MADV_WIPEONFORK)"))?;
        // SAFETY: the range is the inner part of our own mapping.
        checked(unsafe { libc::mlock(pages.first.as_ptr().cast(), pages.bytes) }).map_err(|why| {
            Error::MemoryNotLocked { bytes: pages.bytes, limit: memlock_limit(), why: why.to_string() }
        })?;
        Ok(pages)
    }

    /// Lets the inner part be read and written.
    fn open(&mut self) -> io::Result<()> {
        // SAFETY: the range is the inner part of our own mapping.
        checked(unsafe { libc::mprotect(self.first.as_ptr().cast(), self.bytes, libc::PROT_READ | libc::PROT_WRITE) })?;
        self.open = true;
        Ok(())
    }

    fn advise(&self, advice: c_int) -> io::Result<()> {
        // SAFETY: the range is the inner part of our own mapping; none of the advices used discards contents of ours.
        checked(unsafe { libc::madvise(self.first.as_ptr().cast(), self.bytes, advice) })
    }

    fn touch(&mut self) {
        // SAFETY: the inner part is mapped read-write and `&mut self` is the only way to it.
        unsafe { self.first.as_ptr().write_bytes(0, self.bytes) };
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes `at..at + length`, or `None` outside the mapping.
    ///
    /// # Safety
    /// Nobody may write this range while the slice lives.
    pub(super) unsafe fn slice(&self, at: usize, length: usize) -> Option<&[u8]> {
        self.within(at, length)?;
        // SAFETY: in bounds (checked), mapped and initialised since `touch`; the caller vouches that nobody writes.
        Some(unsafe { std::slice::from_raw_parts(self.first.as_ptr().add(at), length) })
    }

    /// As [`Pages::slice`], to write.
    ///
    /// # Safety
    /// The caller must own this range alone while the slice lives.
    #[allow(clippy::mut_from_ref, reason = "ranges are owned one by one; the slab hands each out once")]
    pub(super) unsafe fn slice_mut(&self, at: usize, length: usize) -> Option<&mut [u8]> {
        self.within(at, length)?;
        // SAFETY: in bounds (checked), mapped and initialised since `touch`; the caller owns the range.
        Some(unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr().add(at), length) })
    }

    fn within(&self, at: usize, length: usize) -> Option<()> {
        (at.checked_add(length)? <= self.bytes).then_some(())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.open {
            // SAFETY: the inner part is ours, readable and writable, and every `Secret` in it has gone.
            unsafe { memsec::memzero(self.first.as_ptr(), self.bytes) };
        }
        // SAFETY: nobody holds a reference into the mapping any more: every `Secret` holds the slab that owns us.
        unsafe { libc::munmap(self.whole.as_ptr(), self.whole_bytes) };
    }
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn errno(code: c_int) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn memlock_limit() -> String {
    getrlimit(Resource::Memlock).current.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps_line(pages: &Pages) -> Option<String> {
        let first = format!("{:x}-", pages.first.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut lines = maps.lines().skip_while(|line| !line.trim_start_matches('0').starts_with(&first));
        let head = lines.next()?.to_owned();
        let flags = lines.find(|line| line.starts_with("VmFlags"))?.to_owned();
        Some(head + "\n" + &flags)
    }

    #[test]
    fn locked_pages_are_locked_undumpable_and_wiped_in_children() {
        let pages = Pages::map(8192, Wanted::LockedOnly).unwrap();
        assert_eq!(pages.mode(), Mode::Locked);
        let line = maps_line(&pages).expect("the mapping is listed");
        for flag in [" lo", " dd", " wf"] {
            assert!(line.contains(flag), "{flag} missing in {line}");
        }
    }

    #[test]
    fn secret_memory_is_not_inherited() {
        let pages = Pages::map(8192, Wanted::Best).unwrap();
        if pages.mode() == Mode::SecretMemory {
            let line = maps_line(&pages).expect("the mapping is listed");
            assert!(line.contains(" dc"), "MADV_DONTFORK missing in {line}");
            assert!(line.contains("secretmem"), "{line}");
        }
    }

    #[test]
    fn guard_pages_stand_on_both_sides() {
        let pages = Pages::map(4096, Wanted::LockedOnly).unwrap();
        let page = rustix::param::page_size();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let (low, high) = (pages.first.as_ptr() as usize, pages.first.as_ptr() as usize + pages.bytes);
        let guarded = |address: usize| {
            maps.lines().any(|line| {
                let (range, rest) = line.split_once(' ').unwrap();
                let (from, to) = range.split_once('-').unwrap();
                let (from, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
                rest.starts_with("---p") && (from..to).contains(&address)
            })
        };
        assert!(guarded(low - 1) && guarded(low - page), "no guard below");
        assert!(guarded(high) && guarded(high + page - 1), "no guard above");
    }

    #[test]
    fn no_range_outside_the_mapping_is_handed_out() {
        let pages = Pages::map(4096, Wanted::LockedOnly).unwrap();
        // SAFETY: nobody writes these pages here.
        unsafe {
            assert!(pages.slice(0, 4096).is_some());
            assert!(pages.slice(1, 4096).is_none());
            assert!(pages.slice(usize::MAX, 2).is_none());
        }
    }
}
