//! Compiled kernels.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// An entry of a library's list: what end.h calls Kernel.
#[repr(C)]
struct Entry {
    name: *const c_char,
    run: *const c_void,
    size: usize,
}

type Launch = unsafe extern "C" fn(c_int, *const u32, *const u32, *const c_void, u32, *mut c_char, usize) -> c_int;

/// A loaded library; it stays loaded.
pub(crate) struct Module {
    launch: Launch,
    entries: Vec<(&'static str, usize)>,
}

/// A kernel of a module.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    module: &'static Module,
    index: usize,
}

impl Module {
    /// Loads an image: a whole shared object.
    pub(crate) fn load(image: &[u8]) -> Result<&'static Module, String> {
        static LOADED: AtomicUsize = AtomicUsize::new(0);
        let number = LOADED.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("striate-cuda-emu-{}-{number}.so", std::process::id()));
        std::fs::write(&file, image).map_err(|error| error.to_string())?;
        let loaded = Module::open(&file);
        let _ = std::fs::remove_file(&file);
        loaded.map(|module| &*Box::leak(Box::new(module)))
    }

    fn open(file: &Path) -> Result<Module, String> {
        let name = CString::new(file.display().to_string()).map_err(|error| error.to_string())?;
        // SAFETY: the file was made by this crate's own compiler, whose list ends with an entry without a name; the library stays
        // loaded, so its texts live forever. 2 is RTLD_NOW.
        unsafe {
            let library = dlopen(name.as_ptr(), 2);
            if library.is_null() {
                return Err(CStr::from_ptr(dlerror()).to_string_lossy().into_owned());
            }
            let launch = dlsym(library, c"emu_launch".as_ptr());
            let mut entry = dlsym(library, c"emu_kernels".as_ptr()).cast::<Entry>().cast_const();
            if launch.is_null() || entry.is_null() {
                return Err("the image is no library of this emulator".into());
            }
            let mut entries = Vec::new();
            while !(*entry).name.is_null() {
                entries.push((CStr::from_ptr((*entry).name).to_str().unwrap_or_default(), (*entry).size));
                entry = entry.add(1);
            }
            Ok(Module { launch: std::mem::transmute::<*mut c_void, Launch>(launch), entries })
        }
    }

    pub(crate) fn kernel(&'static self, name: &str) -> Option<Kernel> {
        let index = self.entries.iter().position(|(known, _)| *known == name)?;
        Some(Kernel { module: self, index })
    }
}

impl Kernel {
    pub(crate) fn name(&self) -> &'static str {
        self.module.entries[self.index].0
    }

    /// Bytes of the parameter.
    pub(crate) fn size(&self) -> usize {
        self.module.entries[self.index].1
    }

    /// Runs all blocks; only one kernel of a process may run at a time.
    pub(crate) fn run(&self, grid: [u32; 3], block: [u32; 3], arguments: &[u64], order: u32) -> Result<(), String> {
        let mut problem = [0 as c_char; 512];
        // SAFETY: the arguments are as long as the kernel's struct, which `size` said; the caller holds the lock of the state.
        let code = unsafe {
            (self.module.launch)(
                self.index as c_int,
                grid.as_ptr(),
                block.as_ptr(),
                arguments.as_ptr().cast::<c_void>(),
                order,
                problem.as_mut_ptr(),
                problem.len(),
            )
        };
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the text ends within its room.
        Err(unsafe { CStr::from_ptr(problem.as_ptr()) }.to_string_lossy().into_owned())
    }
}

/// How long an ELF image is, which its own header says.
///
/// # Safety
/// The image must be whole, or not begin as ELF does.
pub(crate) unsafe fn elf_length(image: *const u8) -> Option<usize> {
    // SAFETY: the caller's promise; a header has 64 bytes.
    unsafe {
        if std::slice::from_raw_parts(image, 4) != b"\x7fELF" {
            return None;
        }
        let header = std::slice::from_raw_parts(image, 64);
        let number = |at: usize, bytes: usize| {
            header[at..at + bytes].iter().rev().fold(0usize, |value, &byte| value << 8 | usize::from(byte))
        };
        Some(number(0x28, 8) + number(0x3a, 2) * number(0x3c, 2))
    }
}
