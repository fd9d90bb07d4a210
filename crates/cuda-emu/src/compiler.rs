//! NVRTC, played: kernels are compiled by g++.

use crate::export;
use cudarc::nvrtc::sys::{self as real, nvrtcProgram, nvrtcResult as Code};
use std::ffi::{CStr, c_char, c_int};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const BEGIN: &str = include_str!("device/begin.h");
const END: &str = include_str!("device/end.h");
/// The architectures that the toolkit this plays, 13.0, compiles for.
const ARCHITECTURES: [c_int; 12] = [75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121];

#[derive(Default)]
struct Program {
    source: String,
    name: String,
    log: Vec<u8>,
    image: Vec<u8>,
}

/// The text without comments, for finding kernels.
fn without_comments(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        text.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") { "\n" } else { "*/" };
        rest = rest[at + 2..].find(end).map_or("", |length| &rest[at + 2 + length..]);
        rest = rest.strip_prefix("*/").unwrap_or(rest);
    }
    text + rest
}

/// The names of all kernels: what stands between `__global__` and the parameters, less the result and the launch bounds.
pub(crate) fn kernels(source: &str) -> Vec<String> {
    let text = without_comments(source);
    text.split("__global__")
        .skip(1)
        .filter_map(|mut after| {
            if let Some((before, bounds)) = after.split_once("__launch_bounds__")
                && before.trim() == "void"
            {
                after = bounds.split_once(')')?.1;
            }
            let head = after.split_once('(')?.0;
            head.split_whitespace().last().map(str::to_string)
        })
        .collect()
}

/// Compiles a source to a shared object: its bytes, or what the compiler said.
pub(crate) fn compile(name: &str, source: &str) -> Result<Vec<u8>, String> {
    let list: String = kernels(source).iter().map(|kernel| format!("    EMU_KERNEL({kernel}),\n")).collect();
    let end = END.replace("#include EMU_LIST\n", &list);
    let whole = format!("{BEGIN}\n#line 1 \"{name}\"\n{source}\n#line 1 \"end.h\"\n{end}");
    let compiler = std::env::var("CUEMU_CXX").unwrap_or_else(|_| "g++".into());
    let options = [
        "-x",
        "c++",
        "-std=c++17",
        "-O2",
        "-march=native",
        "-fPIC",
        "-shared",
        "-fno-exceptions",
        "-fno-rtti",
        "-fno-strict-aliasing",
        "-fvisibility=hidden",
        "-nostdinc",
        "-nostdinc++",
        "-w",
    ];
    let mut hasher = DefaultHasher::new();
    (&whole, options, &compiler).hash(&mut hasher);
    let kept = std::env::var_os("CUEMU_CACHE")
        .map(|folder| PathBuf::from(folder).join(format!("{:016x}.so", hasher.finish())));
    if let Some(image) = kept.as_ref().and_then(|file| std::fs::read(file).ok()) {
        return Ok(image);
    }
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let base = std::env::temp_dir().join(format!("striate-cuda-emu-{}-c{number}", std::process::id()));
    let (text, made) = (base.with_extension("cc"), base.with_extension("so"));
    let result = run(&compiler, &options, &whole, &text, &made);
    let _ = std::fs::remove_file(&text);
    let _ = std::fs::remove_file(&made);
    let image = result?;
    if let Some(file) = kept {
        let beside = file.with_extension(format!("{}.{number}.tmp", std::process::id()));
        let _ = file.parent().map(std::fs::create_dir_all);
        if std::fs::write(&beside, &image).is_ok() {
            let _ = std::fs::rename(&beside, &file);
        }
    }
    Ok(image)
}

fn run(compiler: &str, options: &[&str], whole: &str, text: &Path, made: &Path) -> Result<Vec<u8>, String> {
    std::fs::write(text, whole).map_err(|error| format!("writing {}: {error}", text.display()))?;
    // Links named libcuda.so may be on the path of libraries; the compiler has no use for it.
    let output = Command::new(compiler)
        .args(options)
        .arg(text)
        .arg("-o")
        .arg(made)
        .arg("-lm")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .map_err(|error| format!("{compiler} could not be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    std::fs::read(made).map_err(|error| format!("reading {}: {error}", made.display()))
}

/// # Safety
/// The text must end with a zero, or be null.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// The handle must be one of this library's, and not destroyed.
unsafe fn program<'a>(handle: nvrtcProgram) -> Option<&'a mut Program> {
    // SAFETY: the caller's promise.
    unsafe { handle.cast::<Program>().as_mut() }
}

export! {
    fn nvrtcVersion(major: *mut c_int, minor: *mut c_int) -> Code {
        // No version of the real one: what it compiles must never be taken for the other's in a cache.
        (*major, *minor) = (99, 0);
        Code::NVRTC_SUCCESS
    }

    fn nvrtcGetErrorString(result: Code) -> *const c_char {
        let text = match result {
            Code::NVRTC_SUCCESS => c"NVRTC_SUCCESS",
            Code::NVRTC_ERROR_COMPILATION => c"NVRTC_ERROR_COMPILATION",
            Code::NVRTC_ERROR_INVALID_OPTION => c"NVRTC_ERROR_INVALID_OPTION",
            Code::NVRTC_ERROR_INVALID_PROGRAM => c"NVRTC_ERROR_INVALID_PROGRAM",
            _ => c"NVRTC_ERROR",
        };
        text.as_ptr()
    }

    fn nvrtcGetNumSupportedArchs(count: *mut c_int) -> Code {
        *count = ARCHITECTURES.len() as c_int;
        Code::NVRTC_SUCCESS
    }

    fn nvrtcGetSupportedArchs(all: *mut c_int) -> Code {
        std::ptr::copy_nonoverlapping(ARCHITECTURES.as_ptr(), all, ARCHITECTURES.len());
        Code::NVRTC_SUCCESS
    }

    fn nvrtcCreateProgram(
        handle: *mut nvrtcProgram,
        source: *const c_char,
        name: *const c_char,
        headers: c_int,
        _contents: *const *const c_char,
        _names: *const *const c_char,
    ) -> Code {
        if headers != 0 {
            return Code::NVRTC_ERROR_INVALID_INPUT;
        }
        let made = Program { source: text(source), name: text(name), ..Program::default() };
        *handle = Box::into_raw(Box::new(made)).cast();
        Code::NVRTC_SUCCESS
    }

    fn nvrtcDestroyProgram(handle: *mut nvrtcProgram) -> Code {
        if (*handle).is_null() {
            return Code::NVRTC_ERROR_INVALID_PROGRAM;
        }
        drop(Box::from_raw((*handle).cast::<Program>()));
        *handle = std::ptr::null_mut();
        Code::NVRTC_SUCCESS
    }

    fn nvrtcCompileProgram(handle: nvrtcProgram, count: c_int, options: *const *const c_char) -> Code {
        let Some(program) = program(handle) else { return Code::NVRTC_ERROR_INVALID_PROGRAM };
        for i in 0..count as usize {
            let option = text(*options.add(i));
            let known = option
                .strip_prefix("--gpu-architecture=sm_")
                .is_some_and(|arch| arch.parse().is_ok_and(|arch| ARCHITECTURES.contains(&arch)));
            if !known && option != "--std=c++17" {
                program.log = format!("nvrtc: error: invalid value or option {option}").into_bytes();
                return Code::NVRTC_ERROR_INVALID_OPTION;
            }
        }
        match compile(&program.name, &program.source) {
            Ok(image) => {
                program.image = image;
                Code::NVRTC_SUCCESS
            }
            Err(said) => {
                program.log = said.into_bytes();
                Code::NVRTC_ERROR_COMPILATION
            }
        }
    }

    fn nvrtcGetProgramLogSize(handle: nvrtcProgram, size: *mut usize) -> Code {
        let Some(program) = program(handle) else { return Code::NVRTC_ERROR_INVALID_PROGRAM };
        *size = program.log.len() + 1;
        Code::NVRTC_SUCCESS
    }

    fn nvrtcGetProgramLog(handle: nvrtcProgram, log: *mut c_char) -> Code {
        let Some(program) = program(handle) else { return Code::NVRTC_ERROR_INVALID_PROGRAM };
        std::ptr::copy_nonoverlapping(program.log.as_ptr().cast(), log, program.log.len());
        *log.add(program.log.len()) = 0;
        Code::NVRTC_SUCCESS
    }

    fn nvrtcGetCUBINSize(handle: nvrtcProgram, size: *mut usize) -> Code {
        let Some(program) = program(handle) else { return Code::NVRTC_ERROR_INVALID_PROGRAM };
        *size = program.image.len();
        Code::NVRTC_SUCCESS
    }

    fn nvrtcGetCUBIN(handle: nvrtcProgram, cubin: *mut c_char) -> Code {
        let Some(program) = program(handle) else { return Code::NVRTC_ERROR_INVALID_PROGRAM };
        std::ptr::copy_nonoverlapping(program.image.as_ptr().cast(), cubin, program.image.len());
        Code::NVRTC_SUCCESS
    }
}
