//! `layerfold`: zero-knowledge proofs of what a neural network said, from an ONNX file and inputs.
//!
//! `prove` quantises, commits and proves; `verify` checks; `inspect` and `report` say beforehand what
//! it will cost and how exact it is. The work is the library's; what is here is reading, writing and
//! telling.

mod args;
mod console;
mod data;
mod files;
mod inspect;
mod model;
mod plan;
mod progress;
mod prove;
mod published;
mod report;
mod state;
mod vectors;
mod verify;
mod weights;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};

use crate::{
    args::{Arguments, Command},
    console::{Console, Failure, Kind},
};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => return refuse(&e),
    };
    let console = Console::new(arguments.json, arguments.quiet);
    // A panic is a defect of the library; it has an exit code and an object like other failures.
    let done = catch_unwind(AssertUnwindSafe(|| run(&arguments.command, &console)));
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => console.fail(&failure),
        Err(_) => console.fail(&Failure::new(Kind::Defect, "the program panicked")),
    }
}

fn run(command: &Command, console: &Console) -> Result<(), Failure> {
    match command {
        Command::Inspect(options) => inspect::run(options, console),
        Command::Prove(options) => prove::run(options, console),
        Command::Verify(options) => verify::run(options, console),
        Command::Report(options) => report::run(options, console),
    }
}

/// What the command line did not say rightly, or help that was asked for.
fn refuse(e: &clap::Error) -> ExitCode {
    let help = matches!(
        e.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if !help && std::env::args_os().any(|a| a == "--json") {
        let text = e.to_string();
        let text = text.trim().trim_start_matches("error: ");
        return Console::new(true, true).fail(&Failure::new(Kind::Usage, text));
    }
    // A reader who has gone is no error.
    let _ = e.print();
    match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Kind::Usage.exit_code()),
    }
}
