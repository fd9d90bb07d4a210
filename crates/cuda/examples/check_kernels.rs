//! Compiles every kernel with NVRTC, which needs no GPU, for every architecture, and holds registers, spills and shared memory to the committed
//! table. `check_kernels TABLE` checks, `check_kernels TABLE --update` writes the table. Ends with 2 where there is no NVRTC.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use striate_cuda::{Compiler, SOURCES};
use striate_tensor::{Error, Result, replace_file};

/// What kernels are compiled for: Turing, Ampere, Ada, Hopper, Blackwell.
const ARCHITECTURES: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

/// What a kernel takes of the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needs {
    registers: u32,
    shared: u32,
    spills: u32,
}

/// File and kernel.
type Name = (String, String);
type Table = BTreeMap<Name, Vec<Needs>>;

/// The number before a word in a line of ptxas: `Used 32 registers` gives 32 for "registers".
fn before(line: &str, word: &str) -> Option<u32> {
    line[..line.find(word)?].split_whitespace().next_back()?.parse().ok()
}

/// The needs of each kernel, from what ptxas said.
fn needs(log: &str) -> BTreeMap<String, Needs> {
    let mut all: BTreeMap<String, Needs> = BTreeMap::new();
    let mut kernel = String::new();
    for line in log.lines() {
        if let Some((_, after)) = line.split_once("Compiling entry function '") {
            kernel = after.split('\'').next().unwrap_or_default().to_string();
        }
        let needs = all.entry(kernel.clone()).or_default();
        for word in [" bytes spill stores", " bytes spill loads"] {
            needs.spills += before(line, word).unwrap_or(0);
        }
        if let Some(registers) = before(line, " registers") {
            needs.registers = registers;
            needs.shared = before(line, " bytes smem").unwrap_or(0);
        }
    }
    all.remove("");
    all
}

fn measured(compiler: &Compiler) -> Result<Table> {
    let mut table = Table::new();
    let known = compiler.architectures()?;
    for (i, architecture) in ARCHITECTURES.into_iter().enumerate() {
        if !known.contains(&architecture) {
            println!("skipped: this NVRTC does not compile for sm_{architecture}");
            continue;
        }
        let mut kernels = 0;
        for source in SOURCES {
            let compiled = compiler.compile(source.name, &source.text(), architecture, &["--ptxas-options=-v"])?;
            let found = needs(&compiled.log);
            if found.is_empty() {
                return Err(Error::data(source.name, "the compiler must list its kernels", compiled.log, ""));
            }
            kernels += found.len();
            for (kernel, needs) in found {
                let row = table.entry((source.name.into(), kernel)).or_insert_with(|| vec![Needs::default(); 7]);
                row[i] = needs;
            }
        }
        println!("sm_{architecture}: {kernels} kernels compiled");
    }
    Ok(table)
}

fn written(table: &Table, version: (u32, u32)) -> String {
    let mut text = format!(
        "# NVRTC {}.{}: registers/bytes of shared memory/bytes spilled, written by cargo xtask check-kernels --update\n",
        version.0, version.1
    );
    text.push_str("file\tkernel");
    ARCHITECTURES.iter().for_each(|architecture| {
        let _ = write!(text, "\tsm_{architecture}");
    });
    for ((file, kernel), row) in table {
        let _ = write!(text, "\n{file}\t{kernel}");
        row.iter().for_each(|needs| {
            let _ = write!(text, "\t{}/{}/{}", needs.registers, needs.shared, needs.spills);
        });
    }
    text.push('\n');
    text
}

/// The committed table, and whether the same NVRTC made it: another one shares out registers differently.
fn read(text: &str, version: (u32, u32)) -> (Table, bool) {
    let same = text.starts_with(&format!("# NVRTC {}.{}:", version.0, version.1));
    let rows = text.lines().skip(2).filter_map(|line| {
        let mut cells = line.split('\t');
        let name = (cells.next()?.to_string(), cells.next()?.to_string());
        let row = cells.map(|cell| {
            let mut numbers = cell.split('/').map(|number| number.parse().unwrap_or(0));
            let mut next = || numbers.next().unwrap_or(0);
            Needs { registers: next(), shared: next(), spills: next() }
        });
        Some((name, row.collect()))
    });
    (rows.collect(), same)
}

fn compare(now: &Table, before: &Table, same: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((file, kernel), row) in now {
        let old = before.get(&(file.clone(), kernel.clone()));
        if old.is_none() {
            wrong.push(format!("{file}/{kernel} is not in the table"));
        }
        for (i, needs) in row.iter().enumerate() {
            let place = format!("{file}/{kernel} on sm_{}", ARCHITECTURES[i]);
            if needs.spills > 0 {
                wrong.push(format!("{place} spills {} bytes of registers to memory", needs.spills));
            }
            let Some(old) = old.and_then(|old| old.get(i)).filter(|_| same) else { continue };
            if needs.registers > old.registers || needs.shared > old.shared {
                wrong.push(format!("{place} grew from {old:?} to {needs:?}"));
            }
        }
    }
    wrong.extend(before.keys().filter(|name| !now.contains_key(name)).map(|(f, k)| format!("{f}/{k} is gone")));
    wrong
}

fn run(table: &str, update: bool) -> Result<ExitCode> {
    let compiler = match Compiler::new() {
        Ok(compiler) => compiler,
        Err(missing) => {
            println!("{missing}");
            return Ok(ExitCode::from(2));
        }
    };
    let version = compiler.version();
    println!("NVRTC {}.{}", version.0, version.1);
    let now = measured(&compiler)?;
    if update {
        replace_file(table, written(&now, version).as_bytes())?;
        println!("wrote {table}: {} kernels", now.len());
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(table).map_err(|error| Error::io(table, "reading", error))?;
    let (before, same) = read(&text, version);
    if !same {
        println!("the table is another NVRTC's: only spills and missing kernels count");
    }
    let wrong = compare(&now, &before, same);
    wrong.iter().for_each(|line| println!("{line}"));
    if wrong.is_empty() {
        println!("{} kernels keep to the table on every architecture", now.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(table) = arguments.first() else {
        println!("usage: check_kernels TABLE [--update]");
        return ExitCode::from(2);
    };
    run(table, arguments.iter().any(|argument| argument == "--update")).unwrap_or_else(|error| {
        println!("{error}");
        ExitCode::FAILURE
    })
}
