//! Sessions as bytes, to go on later or elsewhere.
//!
//! ```text
//! magic     8 bytes   "LFsecret"
//! format    2 bytes   little-endian
//! backend   1 byte
//! body      postcard: everything of a session but its keys and weights
//! check     32 bytes  Digest("layerfold/checkpoint/1"; all before)
//! ```
//!
//! The check detects damage, not malice: whoever can read a checkpoint has all the secrets of its
//! run, and whoever can write one can make another run of it. A run that was tampered with ends in
//! a proof that does not verify.

use std::sync::{Mutex, PoisonError};

use ff::PrimeField;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Prover, Session,
    fixed::Fixed,
    folded::{Claims, Folded},
    folder::Folder,
    kept::Kept,
    session::Way,
};
use crate::{
    backend::{Backend, DefaultBackend, F},
    error::{DecodeError, Error},
    hash::shake,
    keys::Recursive,
    kind::ProofKind,
    program::Emission,
    proof::sequence_lengths,
    recursive::{Execution, RunState, Unrolled, state::carried_digest},
    statement::{
        Visibility,
        salts::{Salt, SaltKey, Salts},
    },
    weights::{Mask, WeightClaim, element_bytes},
};

const MAGIC: &[u8; 8] = b"LFsecret";
const FORMAT: u16 = 5;
const HEADER: usize = MAGIC.len() + 3;
const CHECK: usize = 32;
const WHAT: &str = "checkpoint";

/// 32 canonical bytes of a field element.
type Element = [u8; 32];

/// All of a session but what its prover holds.
#[derive(Serialize, Deserialize)]
struct Body {
    params: [u8; 32],
    model: [u8; 32],
    visibility: Visibility,
    context: Vec<u8>,
    parameters: Vec<i64>,
    /// The kind of proof that was asked for, if so.
    kind: Option<ProofKind>,
    input_salts: Option<[u8; 32]>,
    output_salts: Option<[u8; 32]>,
    /// Salts that somebody else chose, of frames that are not folded, by index.
    given_salts: Vec<(u64, Element)>,
    run: RunBody,
}

/// Where the run stands.
#[derive(Serialize, Deserialize)]
enum RunBody {
    /// All frames, in order.
    Kept(Vec<Vec<i64>>),
    Folded(Box<FoldedBody>),
}

/// A run that is folded on the way.
#[derive(Serialize, Deserialize)]
struct FoldedBody {
    mask: Vec<Element>,
    mask_blind: Element,
    frames: u64,
    inputs: Element,
    outputs: Element,
    point: Vec<Element>,
    value: Element,
    carried: Vec<Vec<i64>>,
    carried_salt: Element,
    steps: u64,
    /// Frames of a step that is not full.
    pending: Vec<Vec<i64>>,
    public_frames: Vec<i64>,
    public_outputs: Vec<i64>,
    proved_steps: u64,
    proved_claims: u64,
    recursive: Option<Recursive>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.input_salts.zeroize();
        self.output_salts.zeroize();
        self.given_salts.iter_mut().for_each(|(_, s)| s.zeroize());
        if let RunBody::Kept(frames) = &mut self.run {
            frames.zeroize();
        }
    }
}

impl Drop for FoldedBody {
    fn drop(&mut self) {
        self.mask.zeroize();
        self.mask_blind.zeroize();
        self.carried.zeroize();
        self.carried_salt.zeroize();
        self.pending.zeroize();
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    shake("layerfold/checkpoint/1", &[bytes], &mut check);
    check
}

/// The check that these bytes would need.
#[cfg(test)]
pub(crate) fn check_for_test(bytes: &[u8]) -> [u8; CHECK] {
    check_of(bytes)
}

fn element(bytes: &Element) -> Result<F, DecodeError> {
    Option::from(F::from_repr((*bytes).into())).ok_or(DecodeError::Malformed { what: WHAT })
}

fn elements(bytes: &[Element]) -> Result<Vec<F>, DecodeError> {
    bytes.iter().map(element).collect()
}

/// Whether so many frames can have been folded in so many steps.
fn counts(step: &Unrolled, steps: u64, frames: u64) -> bool {
    let inferences = steps / step.phases;
    let most = inferences.checked_mul(step.frames() as u64);
    steps.is_multiple_of(step.phases)
        && inferences <= frames
        && most.is_some_and(|most| frames <= most)
}

/// Lengths of all sequences of a folded run, in the order of serialisation: nova takes them for
/// granted.
fn expected_lengths(primary: (usize, usize), secondary: (usize, usize)) -> Vec<usize> {
    const STATE: usize = 2;
    const PUBLIC_VALUES: usize = 2;
    let mut lengths = vec![STATE];
    for (constraints, variables) in [primary, secondary] {
        lengths.extend([variables, constraints, PUBLIC_VALUES]);
    }
    // The last instance of the secondary circuit, not folded yet.
    lengths.extend([secondary.1, PUBLIC_VALUES, STATE]);
    lengths
}

fn malformed() -> Error {
    DecodeError::Malformed { what: WHAT }.into()
}

impl Session {
    /// The session as bytes, from which [`Prover::resume`] goes on: in this process or another, at
    /// any frame, and more than once.
    ///
    /// **Secret material**: they hold the inputs that are kept or not folded yet, what the folded ones
    /// left in the state, the mask and all blinds, in the clear. Encrypt them if they leave the
    /// machine. They are erased from memory when dropped. They do not hold the weights, nor the
    /// [seed](Prover::blinding_seed) of their commitment.
    ///
    /// A session that keeps its frames for a [trace](crate::ProofKind::Trace) is as large as they are,
    /// and resuming it runs the model on them again. The size of one that is folded depends on the
    /// program and on what is public, not on the number of frames. A kind of proof that
    /// [was asked for](Self::set_kind) is part of it; a
    /// [memory limit](Self::set_memory_limit) is not.
    ///
    /// **All copies of a folded session share one mask**, which hides the weights for only so many
    /// proofs of all of them together: see [`proofs_allowed`](Self::proofs_allowed). Copies that one
    /// [`Prover`] resumes are counted together. Nobody counts those of several processes, nor
    /// proofs that were made after a checkpoint to which one goes back: a checkpoint is for going on
    /// after a stop, not for answering many requests from one warmed-up state.
    ///
    /// # Errors
    /// If a step could not be folded, which valid inputs do not cause.
    pub fn checkpoint(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let fixed = &self.fixed;
        let key = |k: &Option<SaltKey>| k.as_ref().map(|k| *k.as_bytes());
        let body = Body {
            params: *fixed.params.digest(),
            model: fixed.bank.commitment().digest().0,
            visibility: fixed.visibility,
            context: fixed.context.clone(),
            parameters: fixed.parameters.clone(),
            kind: self.asked,
            input_salts: key(&fixed.salts.inputs),
            output_salts: key(&fixed.salts.outputs),
            given_salts: fixed
                .salts
                .given
                .iter()
                .map(|(index, salt)| (*index, salt.to_bytes()))
                .collect(),
            run: match &self.way {
                Way::Kept(kept) => RunBody::Kept(kept.frames().to_vec()),
                Way::Folded(folded) => RunBody::Folded(Box::new(self.folded_body(folded)?)),
            },
        };
        // All at once: a vector that grows would leave copies behind.
        let fail = |e| Error::proving("checkpoint", e);
        let size = postcard::experimental::serialized_size(&body).map_err(fail)?;
        let mut out = Zeroizing::new(Vec::with_capacity(HEADER + size + CHECK));
        out.extend(MAGIC);
        out.extend(FORMAT.to_le_bytes());
        out.push(DefaultBackend::ID);
        out.resize(HEADER + size, 0);
        postcard::to_slice(&body, &mut out[HEADER..]).map_err(fail)?;
        let check = check_of(&out);
        out.extend(check);
        Ok(out)
    }

    fn folded_body(&self, folded: &Folded) -> Result<FoldedBody, Error> {
        let mut folder = folded.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let recursive = folder.recursive()?.cloned();
        let bytes = |xs: &[F]| xs.iter().map(element_bytes).collect::<Vec<_>>();
        let run = &folded.run;
        let state = &run.state;
        Ok(FoldedBody {
            mask: bytes(&folded.mask.row),
            mask_blind: element_bytes(&folded.mask.blind),
            frames: state.frames,
            inputs: element_bytes(&state.inputs),
            outputs: element_bytes(&state.outputs),
            point: bytes(&state.claim.point),
            value: element_bytes(&state.claim.value),
            carried: run.carried.clone(),
            carried_salt: element_bytes(&run.carried_salt),
            steps: run.steps,
            pending: folded.pending_frames(),
            public_frames: self.public_frames.clone(),
            public_outputs: self.public_outputs.clone(),
            proved_steps: folded.proved.steps,
            proved_claims: folded.proved.claims,
            recursive,
        })
    }

    pub(super) fn resume(prover: &Prover, bytes: &[u8]) -> Result<Self, Error> {
        let body = read(bytes)?;
        if body.params != *prover.params().digest() {
            return Err(Error::usage(
                "the checkpoint is of a session with other keys",
            ));
        }
        if body.model != prover.bank.commitment().digest().0 {
            return Err(Error::usage(
                "the checkpoint is of a session with another model, or other blinds of its commitment",
            ));
        }
        let shown = Visibility::flags(body.visibility);
        let kind = match body.run {
            RunBody::Kept(_) => ProofKind::Trace,
            RunBody::Folded(_) => ProofKind::Recursive,
        };
        let fits = body.context.len() <= crate::proof::MAX_CONTEXT
            && shown == [body.input_salts.is_none(), body.output_salts.is_none()].map(u8::from)
            && (shown[0] == 0 || body.given_salts.is_empty())
            && body.kind.is_none_or(|asked| asked == kind)
            && (kind == ProofKind::Recursive || !prover.params().0.shares_layers());
        if !fits {
            return Err(malformed());
        }
        let salts = Salts {
            inputs: body.input_salts.map(SaltKey::from_bytes),
            outputs: body.output_salts.map(SaltKey::from_bytes),
            given: body
                .given_salts
                .iter()
                .map(|(index, salt)| Ok((*index, Salt(element(salt)?))))
                .collect::<Result<_, DecodeError>>()?,
        };
        let fixed = Fixed {
            params: prover.params.clone(),
            bank: prover.bank.clone(),
            visibility: body.visibility,
            context: body.context.clone(),
            parameters: body.parameters.clone(),
            salts,
            fast: false,
        };
        let mut session = match &body.run {
            RunBody::Kept(frames) => Self::resume_kept(fixed, prover, frames)?,
            RunBody::Folded(folded) => Self::resume_folded(fixed, prover, folded)?,
        };
        session.asked = body.kind;
        Ok(session)
    }

    /// Runs the model on the frames again.
    fn resume_kept(fixed: Fixed, prover: &Prover, frames: &[Vec<i64>]) -> Result<Self, Error> {
        let count = frames.len() as u64;
        let strange = |index: &u64| *index >= count;
        if count > prover.params().program().max_frames() || fixed.salts.given.keys().any(strange) {
            return Err(malformed());
        }
        let way = Way::Kept(Kept::new(&fixed)?);
        let mut session = Self::with_way(fixed, prover.scales, way);
        for frame in frames {
            session.push_on(frame)?;
        }
        Ok(session)
    }

    fn resume_folded(fixed: Fixed, prover: &Prover, body: &FoldedBody) -> Result<Self, Error> {
        let program = prover.params().program();
        let step = prover.params().0.step()?;
        let dimensions = program.bank();
        let mask = Mask {
            row: elements(&body.mask)?,
            blind: element(&body.mask_blind)?,
        };
        let column_bits = prover.bank.commitment().column_bits();
        let fits = mask.row.len() == Mask::len(&dimensions, column_bits)
            && body.point.len() == dimensions.rounds()
            && body.carried.len() == step.opened().len()
            && body.recursive.is_some() == (body.steps > 0)
            && body.pending.len() < step.frames()
            && counts(step, body.steps, body.frames)
            && body.frames < u64::MAX / 2
            && body.frames + body.pending.len() as u64 <= program.max_frames();
        if !fits {
            return Err(malformed());
        }
        for (part, encoding) in body.carried.iter().zip(step.carried_encodings()) {
            if part.len() != encoding.len || part.iter().any(|v| !encoding.holds(*v)) {
                return Err(malformed());
            }
        }
        let shown = Visibility::flags(fixed.visibility);
        let frames = body.frames + body.pending.len() as u64;
        let emitted = match program.emission() {
            Emission::Each => frames,
            Emission::Last => frames.min(1),
        };
        for (public, entries, count, shape) in [
            (
                shown[0] == 1,
                &body.public_frames,
                frames,
                program.frame_shape(),
            ),
            (
                shown[1] == 1,
                &body.public_outputs,
                emitted,
                program.output_shape(),
            ),
        ] {
            let count = if public { count } else { 0 };
            let len = count.checked_mul(shape.len as u64);
            if len != Some(entries.len() as u64) || entries.iter().any(|v| !shape.range.holds(*v)) {
                return Err(malformed());
            }
        }
        let folded = resumed(&fixed, prover, body, mask)?;
        let way = Way::Folded(Box::new(folded));
        let mut session = Self::with_way(fixed, prover.scales, way);
        session.public_frames = body.public_frames.clone();
        session.public_outputs = body.public_outputs.clone();
        Ok(session)
    }
}

/// The run that was folded, from a body whose counts and lengths fit the program.
fn resumed(fixed: &Fixed, prover: &Prover, body: &FoldedBody, mask: Mask) -> Result<Folded, Error> {
    let step = prover.params().0.step()?;
    let mut folded = Folded::new(fixed, mask)?;
    let run = &mut folded.run;
    if body.steps > 0 {
        run.state = RunState {
            binding: run.state.binding,
            frames: body.frames,
            phase: 0,
            inputs: element(&body.inputs)?,
            outputs: element(&body.outputs)?,
            claim: WeightClaim {
                point: elements(&body.point)?,
                value: element(&body.value)?,
            },
        };
        run.carried = body.carried.clone();
        run.carried_salt = element(&body.carried_salt)?;
        run.steps = body.steps;
        let encodings = step.carried_encodings();
        let activations = carried_digest(run.carried_salt, &run.carried, &encodings);
        run.z = [activations, run.state.digest()];
    }
    if let Some(recursive) = &body.recursive {
        let (primary, secondary) = prover.params.0.recursive_sizes()?;
        let same = sequence_lengths(recursive) == Some(expected_lengths(primary, secondary))
            && recursive.outputs() == run.z
            && recursive.num_steps() as u64 == body.steps;
        if !same {
            return Err(malformed());
        }
    }
    folded.folder = Mutex::new(Folder::new(prover.params.clone(), body.recursive.clone()));
    folded.proved = Claims {
        steps: body.proved_steps,
        claims: body.proved_claims,
    };
    if !body.pending.is_empty() {
        let mut execution = Execution::begin(step, 0, &folded.run.carried)?;
        for frame in &body.pending {
            execution.push(step, prover.bank.bank(), frame)?;
        }
        folded.pending = Some(execution);
    }
    Ok(folded)
}

fn read(bytes: &[u8]) -> Result<Body, DecodeError> {
    let rest = bytes
        .strip_prefix(MAGIC.as_slice())
        .ok_or(DecodeError::Magic { what: WHAT })?;
    let (format, rest) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
    let format = u16::from_le_bytes(*format);
    if format != FORMAT {
        return Err(DecodeError::Version {
            expected: FORMAT,
            got: format,
        });
    }
    let (backend, rest) = rest.split_first().ok_or(DecodeError::Truncated)?;
    if *backend != DefaultBackend::ID {
        return Err(DecodeError::Backend {
            expected: DefaultBackend::ID,
            got: *backend,
        });
    }
    let (body, check) = rest.split_last_chunk().ok_or(DecodeError::Truncated)?;
    // Before anything is decoded.
    if *check != check_of(&bytes[..bytes.len() - CHECK]) {
        return Err(DecodeError::Check { what: WHAT });
    }
    let (body, rest) =
        postcard::take_from_bytes(body).map_err(|_| DecodeError::Malformed { what: WHAT })?;
    match rest.len() {
        0 => Ok(body),
        count => Err(DecodeError::TrailingBytes { count }),
    }
}
