//! Kernels compiled at run time by NVRTC, for the very device, and kept on disk.

use cudarc::nvrtc::sys::{self as nvrtc, nvrtcResult};
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::PathBuf;
use striate_tensor::{Error, Result, replace_file};

/// Every function of NVRTC that is called here.
pub(crate) const SYMBOLS: &[&str] = &[
    "nvrtcVersion",
    "nvrtcCreateProgram",
    "nvrtcDestroyProgram",
    "nvrtcCompileProgram",
    "nvrtcGetCUBINSize",
    "nvrtcGetCUBIN",
    "nvrtcGetProgramLogSize",
    "nvrtcGetProgramLog",
    "nvrtcGetErrorString",
    "nvrtcGetNumSupportedArchs",
    "nvrtcGetSupportedArchs",
];

/// Code for one architecture.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The cubin: machine code of the architecture.
    pub image: Vec<u8>,
    /// What the compiler said; with `--ptxas-options=-v` the registers, spills and shared memory of each kernel.
    pub log: String,
}

/// NVRTC, NVIDIA's compiler as a library. It needs neither a driver nor a GPU.
#[derive(Debug, Clone)]
pub struct Compiler {
    version: (u32, u32),
}

fn refused(what: &str, code: nvrtcResult) -> Error {
    // SAFETY: NVRTC gives a string of its own that lives forever.
    let text = unsafe {
        let text = nvrtc::nvrtcGetErrorString(code);
        if text.is_null() { "no text".into() } else { CStr::from_ptr(text).to_string_lossy() }
    };
    Error::device("nvrtc", format!("{what} must succeed"), text, "")
}

fn check(what: &str, code: nvrtcResult) -> Result<()> {
    if code == nvrtcResult::NVRTC_SUCCESS { Ok(()) } else { Err(refused(what, code)) }
}

/// A program that is destroyed when dropped.
struct Program(nvrtc::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program was created and this is its only owner.
        let _ = unsafe { nvrtc::nvrtcDestroyProgram(&mut self.0) };
    }
}

impl Compiler {
    /// The compiler of this machine.
    ///
    /// # Errors
    /// [`Error::Device`] if there is none, or one that lacks a function.
    pub fn new() -> Result<Compiler> {
        if let Some(library) = crate::libraries().into_iter().find(|library| library.name == "nvrtc") {
            if !library.found {
                return Err(crate::Unavailable::NoLibrary("nvrtc").for_device("nvrtc"));
            }
            if let Some(&symbol) = library.missing.first() {
                return Err(crate::Unavailable::MissingSymbol { library: "nvrtc", symbol }.for_device("nvrtc"));
            }
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: NVRTC writes two integers.
        check("nvrtcVersion", unsafe { nvrtc::nvrtcVersion(&mut major, &mut minor) })?;
        Ok(Compiler { version: (major as u32, minor as u32) })
    }

    /// Its version, (major, minor).
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The architectures it compiles for, 10·major + minor.
    ///
    /// # Errors
    /// What NVRTC reports.
    pub fn architectures(&self) -> Result<Vec<u32>> {
        let mut count: c_int = 0;
        // SAFETY: NVRTC writes one integer.
        check("nvrtcGetNumSupportedArchs", unsafe { nvrtc::nvrtcGetNumSupportedArchs(&mut count) })?;
        let mut all = vec![0 as c_int; usize::try_from(count).unwrap_or(0)];
        // SAFETY: NVRTC writes as many integers as it said.
        check("nvrtcGetSupportedArchs", unsafe { nvrtc::nvrtcGetSupportedArchs(all.as_mut_ptr()) })?;
        Ok(all.into_iter().map(|arch| arch as u32).collect())
    }

    /// The architecture to compile for so that a device of this capability runs the code: its own, or the newest older one of its
    /// generation that this compiler knows.
    ///
    /// # Errors
    /// [`Error::Device`] if it knows none of that generation: it is older than the device.
    pub(crate) fn architecture_for(&self, capability: u32) -> Result<u32> {
        newest(&self.architectures()?, capability).ok_or_else(|| {
            let (major, minor) = self.version;
            Error::device(
                "nvrtc",
                format!("the compiler must know a device of compute capability {capability}"),
                format!("NVRTC {major}.{minor}"),
                "install a newer CUDA toolkit",
            )
        })
    }

    /// Compiles a source for an architecture (10·major + minor).
    ///
    /// # Errors
    /// [`Error::Device`] with the compiler's own words.
    pub fn compile(&self, name: &str, source: &str, architecture: u32, options: &[&str]) -> Result<Compiled> {
        let text = |text: &str| CString::new(text).map_err(|_| Error::device("nvrtc", "no zero bytes", text, ""));
        let (source, file) = (text(source)?, text(&format!("{name}.cu"))?);
        let mut all = vec![text(&format!("--gpu-architecture=sm_{architecture}"))?, text("--std=c++17")?];
        all.extend(options.iter().map(|option| text(option)).collect::<Result<Vec<_>>>()?);
        let pointers: Vec<*const c_char> = all.iter().map(|option| option.as_ptr()).collect();
        let mut program = Program(std::ptr::null_mut());
        // SAFETY: all texts end with a zero and outlive the calls; lengths are those NVRTC asked for.
        unsafe {
            let (none, names) = (std::ptr::null(), std::ptr::null());
            check(
                "nvrtcCreateProgram",
                nvrtc::nvrtcCreateProgram(&mut program.0, source.as_ptr(), file.as_ptr(), 0, none, names),
            )?;
            let code = nvrtc::nvrtcCompileProgram(program.0, pointers.len() as c_int, pointers.as_ptr());
            let mut length = 0;
            check("nvrtcGetProgramLogSize", nvrtc::nvrtcGetProgramLogSize(program.0, &mut length))?;
            let mut log = vec![0u8; length.max(1)];
            if length > 0 {
                check("nvrtcGetProgramLog", nvrtc::nvrtcGetProgramLog(program.0, log.as_mut_ptr().cast::<c_char>()))?;
            }
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_string();
            if code != nvrtcResult::NVRTC_SUCCESS {
                return Err(Error::device(
                    format!("kernels {name} for sm_{architecture}"),
                    "the compiler must take them",
                    log.trim().to_string(),
                    "",
                ));
            }
            let mut length = 0;
            check("nvrtcGetCUBINSize", nvrtc::nvrtcGetCUBINSize(program.0, &mut length))?;
            let mut image = vec![0u8; length];
            check("nvrtcGetCUBIN", nvrtc::nvrtcGetCUBIN(program.0, image.as_mut_ptr().cast::<c_char>()))?;
            Ok(Compiled { image, log })
        }
    }

    /// As [`Compiler::compile`] without options, from the cache if it is there. A cache that cannot be used is no error.
    pub(crate) fn cached(&self, name: &str, source: &str, architecture: u32) -> Result<Vec<u8>> {
        let (major, minor) = self.version;
        let key = hash(&[source.as_bytes(), format!("{architecture} {major}.{minor}").as_bytes()]);
        let file = cache_folder().map(|folder| folder.join(format!("{name}-sm_{architecture}-{key:032x}.cubin")));
        if let Some(image) = file.as_ref().and_then(|file| std::fs::read(file).ok()).and_then(|kept| opened(&kept)) {
            return Ok(image);
        }
        let image = self.compile(name, source, architecture, &[])?.image;
        if let Some(file) = file {
            if let Some(folder) = file.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            let _ = replace_file(&file, &sealed(&image));
        }
        Ok(image)
    }
}

/// Code runs on devices of its own generation that are not older than it.
fn newest(known: &[u32], capability: u32) -> Option<u32> {
    known.iter().copied().filter(|&known| known <= capability && known / 10 == capability / 10).max()
}

/// FNV-1a over 128 bits; each part is ended by its length, so that no two lists of parts run into one text.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58du128;
    let mut add = |byte: u8| hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    for part in parts {
        part.iter().copied().for_each(&mut add);
        part.len().to_le_bytes().into_iter().for_each(&mut add);
    }
    hash
}

/// A kept image ends with its own hash: a file cut short or changed is compiled anew.
fn sealed(image: &[u8]) -> Vec<u8> {
    [image, &hash(&[image]).to_le_bytes()].concat()
}

fn opened(kept: &[u8]) -> Option<Vec<u8>> {
    let (image, seal) = kept.split_at_checked(kept.len().checked_sub(16)?)?;
    (seal == hash(&[image]).to_le_bytes()).then(|| image.to_vec())
}

/// Where compiled kernels are kept: `$STRIATE_CUDA_CACHE`, else the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("STRIATE_CUDA_CACHE") {
        return Some(PathBuf::from(folder));
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("striate").join("cuda"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_image_that_was_cut_or_changed_is_not_used() {
        let kept = sealed(b"machine code");
        assert_eq!(opened(&kept).as_deref(), Some(&b"machine code"[..]));
        assert_eq!(opened(&kept[..kept.len() - 1]), None);
        assert_eq!(opened(&kept[..5]), None);
        let mut changed = kept;
        changed[3] ^= 1;
        assert_eq!(opened(&changed), None);
    }

    #[test]
    fn code_is_of_the_devices_generation_and_not_newer() {
        let known = [75, 80, 86, 90, 100];
        assert_eq!([75, 80, 87, 89, 90].map(|device| newest(&known, device)), [75, 80, 86, 86, 90].map(Some));
        assert_eq!([70, 120].map(|device| newest(&known, device)), [None; 2]);
    }

    #[test]
    fn hashes_tell_parts_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }
}
