//! The program `striate`: convolutional networks from the command line.
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod commands;
mod output;
mod process;
mod profile;
mod recipes;
mod serve;

use arguments::{Cli, Command, ConvAlgorithmName, PrecisionName};
use clap::Parser;
use output::Output;
use std::process::ExitCode;
use striate::tensor::{ConvAlgorithm, Precision};
use striate::{DeviceOptions, Result};

fn main() -> ExitCode {
    process::mark_start();
    let cli = Cli::parse();
    match run(cli) {
        Ok(_) if output::has_failed() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let output = Output::new(cli.json);
    let conv_algorithm = match cli.conv_algorithm {
        ConvAlgorithmName::Auto => ConvAlgorithm::Auto,
        ConvAlgorithmName::Direct => ConvAlgorithm::Direct,
        ConvAlgorithmName::Winograd => ConvAlgorithm::Winograd,
    };
    let precision = match cli.precision {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::Tf32 => Precision::Tf32,
        PrecisionName::Bf16 => Precision::Bf16,
        PrecisionName::F16 => Precision::F16,
    };
    let graphs = cli.cuda_graphs;
    let options = DeviceOptions { name: cli.device, threads: cli.threads, conv_algorithm, precision, graphs };
    striate::set_device(striate::open_device(&options)?)?;
    match cli.command {
        Command::Train(arguments) => commands::train::run(&arguments, &output),
        Command::Evaluate(arguments) => commands::evaluate::run(&arguments, &output),
        Command::Predict(arguments) => commands::predict::run(&arguments, &output),
        Command::Summary(arguments) => commands::summary::run(&arguments, &output),
        Command::Advise(arguments) => commands::advise::run(&arguments, &output),
        Command::Convert(arguments) => commands::convert::run(&arguments, &output),
        Command::Augment(arguments) => commands::augment::run(&arguments, &output),
        Command::Explain(arguments) => commands::explain::run(&arguments, &output),
        Command::Kernels(arguments) => commands::kernels::run(&arguments, &output),
        Command::Report(arguments) => commands::report::run(&arguments, &output),
        Command::Curves(arguments) => commands::curves::run(&arguments, &output),
        Command::Dream(arguments) => commands::dream::run(&arguments, &output),
        Command::Style(arguments) => commands::style::run(&arguments, &output),
        Command::Data(arguments) => commands::data::run(&arguments, &output),
        Command::Serve(arguments) => serve::run(&arguments, &output),
        Command::Doctor => commands::doctor::run(&output),
        Command::Bench(arguments) => bench::run(&arguments, &output),
    }
}
