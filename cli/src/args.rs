//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const AFTER: &str = "\
From an ONNX file and inputs to a proof, and from the proof to what it states:
  layerfold prove model.onnx input.npy -o proof.bin
  layerfold verify proof.bin --model model.commitment

Data files:
  .npy   little-endian floats or integers, C order; the last dimensions are an input
  .json  nested arrays, or an object with them under \"inputs\" or \"input_data\"
  .csv   one input to a row, with or without a header; .txt too
  For recurrent networks a row is a frame.

Exit codes:
  0  done; the proof is valid
  1  the proof was read and does not hold, or is not what was expected
  2  usage
  3  the model or a data file is malformed or not supported
  4  a file could not be read or written, or its bytes are no proof or commitment at all
  5  the proof system failed: a defect, please report it";

/// Zero-knowledge proofs of neural-network inference.
///
/// Shows that a committed network gave stated answers, without showing its weights or the inputs.
#[derive(Parser, Debug)]
#[command(name = "layerfold", version, after_help = AFTER, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print one JSON object on standard output; errors too
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print nothing but errors
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Say what a model is made of, how it becomes integers, and what a proof will cost
    Inspect(Inspect),
    /// Prove what a model says of inputs
    Prove(Box<Prove>),
    /// Verify a proof and print what it states
    Verify(Verify),
    /// Compare the integers of a model with its floats, on samples
    Report(Report),
}

/// A model, and how it is read.
#[derive(Args, Debug)]
pub(crate) struct Model {
    /// The network, an ONNX file
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,

    /// Leave out a Softmax or LogSoftmax at the end: outputs are logits then, in the same order
    #[arg(long, help_heading = "Model")]
    pub(crate) drop_softmax: bool,

    /// The value that is the network's output, if not the only output of the file
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) output_value: Option<String>,

    /// Shape of the input, batch included, instead of the file's
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        help_heading = "Model"
    )]
    pub(crate) input_shape: Option<Vec<usize>>,

    /// Size of a dimension that the file names and leaves open; may be repeated
    #[arg(long, value_name = "NAME=SIZE", value_parser = dimension, help_heading = "Model")]
    pub(crate) dimension: Vec<(String, usize)>,
}

/// How a model becomes integers.
#[derive(Args, Debug)]
pub(crate) struct Quantisation {
    /// Typical inputs, some tens to some hundreds, that ranges are taken from
    #[arg(long, value_name = "FILE", help_heading = "Quantisation")]
    pub(crate) calibration: Option<PathBuf>,

    /// Bits of inputs and of values in between, 2 to 16
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(2..=16), help_heading = "Quantisation")]
    pub(crate) bits: u8,

    /// Give values more bits until no output of the calibration set is further than this from the
    /// float network's, relative to the range of the outputs
    #[arg(long, value_name = "E", value_parser = positive, help_heading = "Quantisation")]
    pub(crate) target_error: Option<f64>,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) model: Model,
    #[command(flatten)]
    pub(crate) quantisation: Quantisation,

    /// Plan for one proof of so many inputs, or frames
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rows: u64,

    #[command(flatten)]
    pub(crate) wishes: Wishes,
}

/// What a plan must keep to.
#[derive(Args, Debug, Default)]
pub(crate) struct Wishes {
    /// Choose no schedule or kind of proof that is expected to take more memory
    #[arg(long, value_name = "MIB", value_parser = positive)]
    pub(crate) max_memory: Option<f64>,

    /// Make a proof whose size and memory do not grow with the number of rows: a recursive one
    #[arg(long)]
    pub(crate) constant_size: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) model: Model,

    /// What the model is run on: all rows go into one proof
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,

    /// Where the proof goes
    #[arg(long, short, value_name = "FILE", default_value = "proof.bin")]
    pub(crate) out: PathBuf,

    /// Where the commitment to the model goes, with the program (shapes, scales of tables, no weights),
    /// to publish [default: MODEL.commitment beside the proof]
    #[arg(long, value_name = "FILE")]
    pub(crate) commitment: Option<PathBuf>,

    /// Write the scales too, with which integers read as real values; they tell the largest
    /// calibration input
    #[arg(long, value_name = "FILE")]
    pub(crate) scales: Option<PathBuf>,

    /// Keep program, integers and blinds in this folder, or take them from there: proofs of all
    /// runs then have one commitment. The folder is as secret as the model
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Seed of the blinds, made if it is not there: the same model, calibration and number of rows
    /// then have the same commitment. The file is as secret as the model
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    pub(crate) blinding: Option<PathBuf>,

    /// Make the inputs part of the statement
    #[arg(long)]
    pub(crate) public_inputs: bool,

    /// Show a salted digest of the outputs only
    #[arg(long)]
    pub(crate) hidden_outputs: bool,

    /// Bind the proof to a purpose or a nonce: text, or bytes as 0x…
    #[arg(long, value_name = "TEXT|0xHEX", value_parser = context)]
    pub(crate) context: Option<Context>,

    /// Plan steps for so many rows instead of those of the input
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) plan_for: Option<u64>,

    #[command(flatten)]
    pub(crate) wishes: Wishes,

    #[command(flatten)]
    pub(crate) quantisation: Quantisation,
}

#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The proof
    #[arg(value_name = "PROOF")]
    pub(crate) proof: PathBuf,

    /// The commitment to the model, from where it was published; the program is in the same file
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,

    /// The program that you accept, instead of the one beside the commitment; needed with a commitment
    /// that was written by the library, which holds none
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,

    /// Accept only proofs bound to this: text, or bytes as 0x…
    #[arg(
        long,
        value_name = "TEXT|0xHEX",
        value_parser = context,
        help_heading = "What you expect"
    )]
    pub(crate) context: Option<Context>,

    /// Accept only this model, by the digest that is printed
    #[arg(long, value_name = "HEX", value_parser = digest, help_heading = "What you expect")]
    pub(crate) expect_model: Option<[u8; 32]>,

    /// Accept only this program, by the digest that is printed
    #[arg(long, value_name = "HEX", value_parser = digest, help_heading = "What you expect")]
    pub(crate) expect_program: Option<[u8; 32]>,

    /// Accept only proofs about so many inputs, or frames
    #[arg(long, value_name = "N", help_heading = "What you expect")]
    pub(crate) expect_rows: Option<u64>,

    /// Accept only proofs that show these inputs: integers, one input to a row
    #[arg(long, value_name = "FILE", help_heading = "What you expect")]
    pub(crate) expect_inputs: Option<PathBuf>,

    /// Accept only proofs that show these outputs: integers, one output to a row
    #[arg(long, value_name = "FILE", help_heading = "What you expect")]
    pub(crate) expect_outputs: Option<PathBuf>,

    /// Show outputs as real values too, by the scales that the prover gave; these are not proved
    #[arg(long, value_name = "FILE")]
    pub(crate) scales: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) model: Model,

    /// Inputs to compare on
    #[arg(long, value_name = "FILE")]
    pub(crate) samples: PathBuf,

    /// The right class of each sample, counted from 0
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// Expect the cost of one proof of so many samples, or frames
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rows: u64,

    #[command(flatten)]
    pub(crate) quantisation: Quantisation,
}

/// The bytes that a proof is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context(pub(crate) Vec<u8>);

fn context(text: &str) -> Result<Context, String> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Ok(Context(text.as_bytes().to_vec()));
    };
    let bytes = hex::decode(digits).map(Context);
    bytes.map_err(|_| "not an even number of hexadecimal digits after 0x".to_owned())
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; 32];
    match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err("not 64 hexadecimal digits".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err("not a positive number".to_owned()),
    }
}

fn dimension(text: &str) -> Result<(String, usize), String> {
    let problem = || "not of the form NAME=SIZE, with a positive size".to_owned();
    let (name, size) = text.rsplit_once('=').ok_or_else(problem)?;
    match size.parse() {
        Ok(size) if size > 0 && !name.is_empty() => Ok((name.to_owned(), size)),
        _ => Err(problem()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn contexts_are_text_or_hexadecimal() {
        assert_eq!(context("pump 7").unwrap().0, b"pump 7");
        assert_eq!(context("0x00fF").unwrap().0, [0, 255]);
        assert_eq!(context("00ff").unwrap().0, b"00ff");
        for bad in ["0x1", "0xzz", "0x+1", "0xé"] {
            assert!(context(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_have_32_bytes() {
        let digits = "0f".repeat(32);
        assert_eq!(digest(&digits).unwrap(), [15; 32]);
        assert_eq!(digest(&format!("0x{digits}")).unwrap(), [15; 32]);
        for bad in ["", "0f", &digits[1..], &digits.replace('f', "g")] {
            assert!(digest(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_of_dimensions() {
        assert_eq!(dimension("a=b=3").unwrap(), ("a=b".to_owned(), 3));
        for bad in ["n", "n=", "=3", "n=0", "n=-1"] {
            assert!(dimension(bad).is_err(), "{bad}");
        }
    }
}
