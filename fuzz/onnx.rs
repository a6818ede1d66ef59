//! Mutates the files of `tests/onnx` and imports what comes out: no panic, no import that takes long or
//! much memory.
//!
//! ```text
//! cargo run --release --features onnx --example fuzz-onnx -- [SECONDS [SEED [FOLDER]]]
//! ```
//!
//! SECONDS are of CPU time. It needs no nightly compiler and no sanitizer, and no coverage guides it:
//! the files of the suite have every operator, and most mutations keep the encoding whole, so that
//! they reach the import. What panics, or takes more than five seconds of CPU time or 1 GiB, is written
//! to FOLDER (by default `target/fuzz-onnx`), and makes the run fail. With the name of such a file
//! instead of SECONDS, it is imported again. To have overflows panic too:
//!
//! ```text
//! cargo run --release --features onnx --example fuzz-onnx \
//!     --config profile.release.package.layerfold.overflow-checks=true \
//!     --config profile.release.package.layerfold.debug-assertions=true
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use cpu_time::ProcessTime;
use layerfold::onnx::{ImportOptions, OnnxError, from_bytes_with};
use ndarray::Array2;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;

/// A field of a message.
#[derive(Clone)]
enum Content {
    Varint(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<(u64, Content)>),
}

type Fields = Vec<(u64, Content)>;

/// CPU time that an import may take.
const MOST_TIME: Duration = Duration::from_secs(5);
/// Memory that the process may take, in KiB.
const MOST_MEMORY: u64 = 1 << 20;

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The fields of what may be a message.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Fields> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let mut take = |count: usize| {
            let (head, rest) = bytes.split_at_checked(count)?;
            bytes = rest;
            Some(head.to_vec())
        };
        let content = match key & 7 {
            1 => Content::Fixed(take(8)?),
            5 => Content::Fixed(take(4)?),
            0 => Content::Varint(varint(&mut bytes)?),
            2 => {
                let count = varint(&mut bytes)?;
                let (head, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
                bytes = rest;
                let text = head.iter().all(|b| (0x20..0x7f).contains(b));
                match parse(head, depth + 1).filter(|_| !text && depth < 30) {
                    Some(inner) => Content::Message(inner),
                    None => Content::Bytes(head.to_vec()),
                }
            }
            _ => return None,
        };
        if key >> 3 == 0 || key >> 3 > 40 {
            return None;
        }
        fields.push((key >> 3, content));
    }
    Some(fields)
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn encode(fields: &Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (field, content) in fields {
        let (kind, content) = match content {
            Content::Varint(value) => {
                put(&mut bytes, field << 3);
                put(&mut bytes, *value);
                continue;
            }
            Content::Fixed(fixed) => {
                put(
                    &mut bytes,
                    field << 3 | if fixed.len() == 4 { 5 } else { 1 },
                );
                bytes.extend(fixed);
                continue;
            }
            Content::Bytes(content) => (2, content.clone()),
            Content::Message(inner) => (2, encode(inner)),
        };
        put(&mut bytes, field << 3 | kind);
        put(&mut bytes, content.len() as u64);
        bytes.extend(content);
    }
    bytes
}

/// Numbers that sizes, axes and types should not be.
const NUMBERS: [i64; 28] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    16,
    20,
    64,
    65,
    128,
    1 << 10,
    1 << 12,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 25,
    1 << 31,
    1 << 40,
    i64::MAX,
    i64::MIN,
    -1,
    -2,
    -3,
];

const FLOATS: [f32; 10] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e30,
    1e-40,
    f32::MAX,
    f32::INFINITY,
    f32::NAN,
];

/// Changes one field somewhere in a message.
fn mutate(fields: &mut Fields, rng: &mut ChaCha20Rng, words: &[Vec<u8>]) {
    if fields.is_empty() {
        return;
    }
    let at = rng.gen_range(0..fields.len());
    // Further down, most of the time.
    if let Content::Message(inner) = &mut fields[at].1
        && rng.gen_ratio(6, 7)
    {
        return mutate(inner, rng, words);
    }
    match rng.gen_range(0..12) {
        0 => {
            fields.remove(at);
        }
        1 => fields.insert(at, fields[at].clone()),
        2 => {
            let other = rng.gen_range(0..fields.len());
            fields.swap(at, other);
        }
        3 => fields[at].0 = rng.gen_range(1..26),
        4 => {
            // The content of another field.
            let other = fields.choose(rng).unwrap().1.clone();
            fields[at].1 = other;
        }
        _ => match &mut fields[at].1 {
            Content::Varint(value) => {
                *value = match rng.gen_range(0..3) {
                    0 => value.wrapping_add(1),
                    1 => value.wrapping_sub(1),
                    _ => *NUMBERS.choose(rng).unwrap() as u64,
                };
            }
            Content::Fixed(fixed) => {
                let value = FLOATS.choose(rng).unwrap().to_le_bytes();
                for (byte, new) in fixed.iter_mut().zip(value) {
                    *byte = new;
                }
            }
            Content::Bytes(bytes) => change(bytes, rng, words),
            Content::Message(inner) => {
                inner.truncate(rng.gen_range(0..=inner.len()));
            }
        },
    }
}

/// Changes bytes that are a name, or entries of a tensor, or numbers.
fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng, words: &[Vec<u8>]) {
    let at = rng.gen_range(0..=bytes.len());
    match rng.gen_range(0..8) {
        0..=2 => bytes.clone_from(words.choose(rng).unwrap()),
        3 => bytes.truncate(at),
        4 => bytes.insert(at, rng.r#gen()),
        5 if bytes.len() >= 8 => {
            let at = rng.gen_range(0..=bytes.len() - 8) & !7;
            let value = NUMBERS.choose(rng).unwrap().to_le_bytes();
            bytes[at..at + 8].copy_from_slice(&value);
        }
        6 if bytes.len() >= 4 => {
            let at = rng.gen_range(0..=bytes.len() - 4) & !3;
            let value = FLOATS.choose(rng).unwrap().to_le_bytes();
            bytes[at..at + 4].copy_from_slice(&value);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.gen_range(0..8);
            }
        }
    }
}

/// All texts of a message: operators, attributes, names of values.
fn collect(fields: &Fields, words: &mut Vec<Vec<u8>>) {
    for (_, content) in fields {
        match content {
            Content::Bytes(b) if b.len() < 32 && b.iter().all(|b| (0x20..0x7f).contains(b)) => {
                words.push(b.clone());
            }
            Content::Message(inner) => collect(inner, words),
            _ => {}
        }
    }
}

/// What became of a file.
fn run(bytes: &[u8]) -> &'static str {
    let options = ImportOptions::new()
        .drop_softmax(true)
        .max_file_bytes(1 << 24);
    match from_bytes_with(bytes, &options) {
        Ok(import) => {
            let (network, len) = (&import.network, import.network.input_len());
            if len >= 1 << 16 {
                return "imported";
            }
            match network.infer_sequence(Array2::from_elem((2, len), 0.5).view()) {
                Ok(_) if network.has_state() => "with state, inferred",
                Ok(_) => "inferred",
                Err(_) => "not finite",
            }
        }
        Err(OnnxError::Malformed(_)) => "malformed",
        Err(OnnxError::Unsupported(_)) => "unsupported",
        Err(OnnxError::TooLarge { .. }) => "too large",
        Err(OnnxError::Model { .. }) => "refused by the builder",
        Err(_) => "another error",
    }
}

/// The peak of resident memory since the last call that resets it, in KiB; 0 if the system has no such
/// file.
fn peak(reset: bool) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    let peak = number.map_or(0, |n| n.parse().unwrap());
    if reset {
        // Not every system has it: then the peak is that of the whole run.
        fs::write("/proc/self/clear_refs", "5").unwrap_or(());
    }
    peak
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if let Some(path) = arguments.next_if(|a| a.ends_with(".onnx")) {
        let bytes = fs::read(path).unwrap();
        let began = ProcessTime::now();
        let outcome = run(&bytes);
        println!(
            "{outcome} after {:?}, peak memory {} KiB",
            began.elapsed(),
            peak(false)
        );
        if let Err(e) = from_bytes_with(&bytes, &ImportOptions::new()) {
            println!("{e}");
        }
        return ExitCode::SUCCESS;
    }
    let number = |text: Option<String>, default: u64| text.map_or(default, |t| t.parse().unwrap());
    let seconds = number(arguments.next(), 60);
    let seed = number(arguments.next(), 1);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = arguments
        .next()
        .map_or_else(|| root.join("target/fuzz-onnx"), PathBuf::from);

    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("tests/onnx"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "onnx"))
        .collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|p| fs::read(p).unwrap()).collect();
    let messages: Vec<Fields> = files.iter().map(|f| parse(f, 0).unwrap()).collect();
    let mut words = Vec::new();
    messages.iter().for_each(|m| collect(m, &mut words));
    words.push(Vec::new());
    words.sort();
    words.dedup();

    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let began_all = ProcessTime::now();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut executions, mut findings) = (0u64, 0u32);
    let mut slowest = Duration::ZERO;
    let mut largest = peak(true);
    let mut told = Duration::ZERO;
    while began_all.elapsed() < Duration::from_secs(seconds) {
        let cpu = began_all.elapsed();
        if cpu >= told + Duration::from_secs(60) {
            told = cpu;
            println!("{executions} executions in {cpu:?}, peak memory {largest} KiB");
        }
        let pick = rng.gen_range(0..files.len());
        let bytes = if rng.gen_ratio(1, 8) {
            let mut bytes = files[pick].clone();
            for _ in 0..rng.gen_range(1..4) {
                change(&mut bytes, &mut rng, &words);
            }
            bytes
        } else {
            let mut message = messages[pick].clone();
            for _ in 0..rng.gen_range(1..5) {
                mutate(&mut message, &mut rng, &words);
            }
            encode(&message)
        };
        let began = ProcessTime::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
        let took = began.elapsed();
        executions += 1;
        slowest = slowest.max(took);
        let finding = match outcome {
            Ok(outcome) => {
                *counts.entry(outcome).or_default() += 1;
                // What takes much memory takes some time.
                let memory = if took > Duration::from_millis(20) {
                    peak(true)
                } else {
                    0
                };
                largest = largest.max(memory);
                if took > MOST_TIME {
                    Some("slow")
                } else {
                    (memory > MOST_MEMORY).then_some("large")
                }
            }
            Err(_) => Some("panic"),
        };
        if let Some(kind) = finding {
            findings += 1;
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{kind}-{seed}-{executions}.onnx"));
            fs::write(&path, &bytes).unwrap();
            println!("{kind} after {took:?}: {}", path.display());
        }
    }
    let cpu = began_all.elapsed();
    println!("{executions} executions in {cpu:?} of CPU, seed {seed}, slowest {slowest:?}");
    for (outcome, count) in counts {
        println!("{count:>10} {outcome}");
    }
    println!("peak memory {} KiB", largest.max(peak(false)));
    println!("{findings} findings");
    ExitCode::from(u8::from(findings > 0))
}
