//! What somebody signs who vouches for an input.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::digest::frame_digest;
use crate::{
    error::{DecodeError, Error},
    hash::shake,
    hex,
    kind::ProofKind,
    program::Program,
    proof::VectorDigest,
    statement::salts::Salt,
};

const MAGIC: &[u8; 8] = b"LFattest";
const FORMAT: u16 = 1;
const WHAT: &str = "attestation";
/// Longest name of a source.
const MAX_SOURCE: usize = 1 << 10;

/// That somebody knows what a private input is: its salted digest, and what it is the digest of.
///
/// Whoever vouches for the input, a bank or a sensor, signs [`message`](Self::message) with a scheme
/// of his own choice; this library has none. A verifier checks the signature, that shape, width and
/// scale are those of the program and the model, that source and number are as expected, and that the
/// statement is about [the digest](Self::digest) ([`digest_of_frames`](crate::digest_of_frames)).
///
/// ```
/// use layerfold::{Attestation, ProofKind, Salt, program::{Activation, LayerShape, NetworkShape}};
/// let layers = vec![LayerShape { inputs: 3, outputs: 2, activation: Activation::Relu }];
/// let network = NetworkShape { layers, reads: vec![], tables: vec![], width: 8, bits: 20, shift: 4 };
/// let program = network.program()?;
///
/// let salt = Salt::random();
/// let attested = Attestation::of_frame(&program, ProofKind::Trace, &[7, -3, 100], &salt)?
///     .with_source(b"sensor 7")?
///     .with_number(1041);
/// let signed = attested.message();
///
/// // Elsewhere.
/// let received: Attestation = attested.to_string().parse()?;
/// assert_eq!(received.message(), signed);
/// assert!(received.fits(&program));
/// # Ok::<(), layerfold::Error>(())
/// ```
///
/// As text, and serialised in formats that people read, it is its bytes as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attestation {
    digest: VectorDigest,
    kind: ProofKind,
    len: u32,
    width: u8,
    /// Bits of the real value of one unit.
    scale: Option<u32>,
    source: Vec<u8>,
    number: u64,
}

impl Attestation {
    /// Of a frame with this salt, for proofs of this kind; without a scale or a source, number 0.
    ///
    /// # Errors
    /// As [`frame_digest`].
    pub fn of_frame(
        program: &Program,
        kind: ProofKind,
        frame: &[i64],
        salt: &Salt,
    ) -> Result<Self, Error> {
        let shape = program.frame();
        Ok(Self {
            digest: frame_digest(program, kind, frame, salt)?,
            kind,
            len: shape.len,
            width: shape.width,
            scale: None,
            source: Vec::new(),
            number: 0,
        })
    }

    /// The same, of integers that are multiples of this real value.
    #[must_use]
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.scale = Some(scale.to_bits());
        self
    }

    /// The same, from this source: the name of a device or an account.
    ///
    /// # Errors
    /// If it has more than 1024 bytes.
    pub fn with_source(mut self, source: &[u8]) -> Result<Self, Error> {
        if source.len() > MAX_SOURCE {
            return Err(Error::usage(
                "the source of an attestation has more than 1024 bytes",
            ));
        }
        self.source = source.to_vec();
        Ok(self)
    }

    /// The same, with this number: a time, or a place in a series.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// The digest of the frame.
    #[must_use]
    pub fn digest(&self) -> VectorDigest {
        self.digest
    }

    /// The kind of proof that it is for.
    #[must_use]
    pub fn kind(&self) -> ProofKind {
        self.kind
    }

    /// The real value of one unit, if it is said.
    #[must_use]
    pub fn scale(&self) -> Option<f32> {
        self.scale.map(f32::from_bits)
    }

    /// Who it is from, empty if it is not said.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether frames of a program have the length and the width of this one.
    #[must_use]
    pub fn fits(&self, program: &Program) -> bool {
        let shape = program.frame();
        (shape.len, shape.width) == (self.len, self.width)
    }

    /// What is to be signed: `Digest("layerfold/attestation/1"; the bytes)`.
    #[must_use]
    pub fn message(&self) -> [u8; 32] {
        let mut out = [0; 32];
        shake("layerfold/attestation/1", &[&self.to_bytes()], &mut out);
        out
    }

    /// The canonical bytes: `"LFattest"`, format 1 (2), kind (1), digest (32), length (4), width (1),
    /// whether there is a scale (1), its bits (4), number (8), length of the source (2), source; all
    /// integers little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.push(self.kind.byte());
        bytes.extend(self.digest.as_bytes());
        bytes.extend(self.len.to_le_bytes());
        bytes.push(self.width);
        bytes.push(self.scale.is_some().into());
        bytes.extend(self.scale.unwrap_or(0).to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        // At most 2^10.
        let source = u16::try_from(self.source.len()).unwrap_or(u16::MAX);
        bytes.extend(source.to_le_bytes());
        bytes.extend(&self.source);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no attestation of this format, or not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let rest = bytes
            .strip_prefix(MAGIC.as_slice())
            .ok_or(DecodeError::Magic { what: WHAT })?;
        let mut reader = Reader(rest);
        let format = u16::from_le_bytes(reader.take()?);
        if format != FORMAT {
            return Err(DecodeError::Version {
                expected: FORMAT,
                got: format,
            });
        }
        let malformed = DecodeError::Malformed { what: WHAT };
        let [kind] = reader.take()?;
        let kind = ProofKind::from_byte(kind).ok_or(malformed)?;
        let digest = VectorDigest::from_bytes(reader.take()?);
        let len = u32::from_le_bytes(reader.take()?);
        let [width] = reader.take()?;
        let [has_scale] = reader.take()?;
        let scale = u32::from_le_bytes(reader.take()?);
        let number = u64::from_le_bytes(reader.take()?);
        let source = usize::from(u16::from_le_bytes(reader.take()?));
        if source > MAX_SOURCE {
            return Err(DecodeError::TooLong {
                what: "source of an attestation",
                limit: MAX_SOURCE as u64,
                got: source as u64,
            });
        }
        let (source, rest) = reader
            .0
            .split_at_checked(source)
            .ok_or(DecodeError::Truncated)?;
        if !rest.is_empty() {
            return Err(DecodeError::TrailingBytes { count: rest.len() });
        }
        let attestation = Self {
            digest,
            kind,
            len,
            width,
            scale: (has_scale == 1).then_some(scale),
            source: source.to_vec(),
            number,
        };
        if attestation.to_bytes() != bytes {
            return Err(DecodeError::NotCanonical);
        }
        Ok(attestation)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl FromStr for Attestation {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let bytes = hex::decode(text).ok_or(DecodeError::Malformed { what: WHAT })?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for Attestation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attestation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(de::Error::custom);
        }
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::program::{Activation, LayerShape, NetworkShape};

    fn program(inputs: u32) -> Program {
        let layer = LayerShape {
            inputs,
            outputs: 2,
            activation: Activation::Relu,
        };
        let network = NetworkShape {
            reads: Vec::new(),
            layers: vec![layer],
            tables: vec![],
            width: 8,
            bits: 20,
            shift: 2,
        };
        network.program().unwrap()
    }

    fn attestations() -> Vec<Attestation> {
        let (salt, other) = (Salt::random(), Salt::random());
        let of = |kind, frame: &[i64], salt| {
            let program = program(frame.len() as u32);
            Attestation::of_frame(&program, kind, frame, salt).unwrap()
        };
        let plain = of(ProofKind::Trace, &[1, 2, 3], &salt);
        vec![
            plain.clone(),
            of(ProofKind::Recursive, &[1, 2, 3], &salt),
            of(ProofKind::Trace, &[1, 2, 4], &salt),
            of(ProofKind::Trace, &[1, 2, 3], &other),
            of(ProofKind::Trace, &[1, 2], &salt),
            plain.clone().with_scale(0.0),
            plain.clone().with_scale(-0.0),
            plain.clone().with_number(1),
            plain.clone().with_source(b"a").unwrap(),
            plain.clone().with_source(&[7; 1024]).unwrap(),
            plain
                .with_scale(0.1)
                .with_number(u64::MAX)
                .with_source(b"b")
                .unwrap(),
        ]
    }

    #[test]
    fn everything_that_is_said_is_signed() {
        let messages: Vec<_> = attestations().iter().map(Attestation::message).collect();
        for (i, message) in messages.iter().enumerate() {
            assert!(!messages[..i].contains(message), "{i}");
        }
    }

    #[test]
    fn bytes_text_and_json_come_back() {
        for attestation in attestations() {
            let bytes = attestation.to_bytes();
            assert_eq!(Attestation::from_bytes(&bytes), Ok(attestation.clone()));
            assert_eq!(attestation.to_string().parse(), Ok(attestation.clone()));
            let json = serde_json::to_string(&attestation).unwrap();
            assert_eq!(
                serde_json::from_str::<Attestation>(&json).unwrap(),
                attestation
            );
            let compact = postcard::to_stdvec(&attestation).unwrap();
            let read: Attestation = postcard::from_bytes(&compact).unwrap();
            assert_eq!(read.message(), attestation.message());
            for len in 0..bytes.len() {
                assert!(Attestation::from_bytes(&bytes[..len]).is_err());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(
                Attestation::from_bytes(&longer),
                Err(DecodeError::TrailingBytes { count: 1 })
            );
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 0x41;
                if let Ok(other) = Attestation::from_bytes(&other) {
                    assert_ne!(other.message(), attestation.message());
                }
            }
        }
        assert!(attestations()[0].fits(&program(3)));
        assert!(!attestations()[0].fits(&program(4)));
        assert!(attestations()[0].clone().with_source(&[0; 1025]).is_err());
    }
}
