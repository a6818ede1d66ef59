//! Messages, which are committed to, and what follows from them: linear forms.
//!
//! Prover and verifier run one description of the argument. What a prover sends he has computed; what
//! a verifier is given is a point. Both get the same [`Combination`]s of the scalars behind it.

use ff::Field;
use halo2curves::{group::GroupEncoding, pasta::PallasAffine};
use rand_core::OsRng;

use super::{
    TraceError,
    key::{MessageKey, ROW},
    transcript::Transcript,
};
use crate::{
    backend::F,
    weights::{element_from_bytes, point_from_bytes},
};

/// A linear form in all scalars that were sent, and a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combination {
    /// A scalar may occur more than once.
    pub(crate) terms: Vec<(u32, F)>,
    pub(crate) constant: F,
}

impl Combination {
    pub(crate) fn constant(constant: F) -> Self {
        Self {
            terms: Vec::new(),
            constant,
        }
    }

    /// Adds `factor·other`.
    pub(crate) fn add(&mut self, other: &Self, factor: F) {
        self.terms
            .extend(other.terms.iter().map(|(k, f)| (*k, *f * factor)));
        self.constant += other.constant * factor;
    }

    pub(crate) fn plus(mut self, other: &Self, factor: F) -> Self {
        self.add(other, factor);
        self
    }

    pub(crate) fn scale(&mut self, factor: F) {
        self.terms.iter_mut().for_each(|(_, f)| *f *= factor);
        self.constant *= factor;
    }

    /// Its value for these scalars.
    pub(crate) fn value(&self, w: &[F]) -> F {
        (self.terms.iter()).fold(self.constant, |sum, (k, f)| sum + w[*k as usize] * f)
    }
}

/// `left·right = result`.
pub(crate) struct Gate {
    pub(crate) left: Combination,
    pub(crate) right: Combination,
    pub(crate) result: Combination,
}

/// Who runs the description.
enum Role<'a> {
    Prover {
        key: &'a MessageKey,
        /// The scalars of all rows.
        w: Vec<F>,
        blinds: Vec<F>,
        bytes: Vec<u8>,
    },
    Verifier {
        bytes: &'a [u8],
    },
}

/// The transcript, and what is sent.
pub(crate) struct Channel<'a> {
    pub(crate) transcript: Transcript,
    /// Rows of messages.
    pub(crate) rows: Vec<PallasAffine>,
    role: Role<'a>,
    /// Changes the scalars of a message, given its number, as a cheating prover would.
    #[cfg(test)]
    pub(crate) tamper: Option<Tamper<'a>>,
    /// Changes points before they are sent, given their name and the number of rows before.
    #[cfg(test)]
    pub(crate) tamper_points: Option<TamperPoints<'a>>,
    /// Changes `V_Z` and `V_W` before they are committed to, given their factors in their equation.
    #[cfg(test)]
    pub(crate) tamper_values: Option<TamperValues<'a>>,
    /// Leaves that are the fractions of other tuples: index, table, parts.
    #[cfg(test)]
    pub(crate) leaves: Vec<(usize, usize, [F; 3])>,
}

/// See [`Channel::tamper`].
#[cfg(test)]
pub(crate) type Tamper<'a> = Box<dyn FnMut(usize, &mut Vec<F>) + 'a>;
/// See [`Channel::tamper_points`].
#[cfg(test)]
pub(crate) type TamperPoints<'a> = Box<dyn FnMut(&str, usize, &mut Vec<PallasAffine>) + 'a>;
/// See [`Channel::tamper_values`].
#[cfg(test)]
pub(crate) type TamperValues<'a> = Box<dyn FnMut([F; 2], &mut [F; 2]) + 'a>;

impl<'a> Channel<'a> {
    pub(crate) fn prover(transcript: Transcript, key: &'a MessageKey) -> Self {
        Self {
            transcript,
            rows: Vec::new(),
            role: Role::Prover {
                key,
                w: Vec::new(),
                blinds: Vec::new(),
                bytes: Vec::new(),
            },
            #[cfg(test)]
            tamper: None,
            #[cfg(test)]
            tamper_points: None,
            #[cfg(test)]
            tamper_values: None,
            #[cfg(test)]
            leaves: Vec::new(),
        }
    }

    pub(crate) fn verifier(transcript: Transcript, bytes: &'a [u8]) -> Self {
        Self {
            transcript,
            rows: Vec::new(),
            role: Role::Verifier { bytes },
            #[cfg(test)]
            tamper: None,
            #[cfg(test)]
            tamper_points: None,
            #[cfg(test)]
            tamper_values: None,
            #[cfg(test)]
            leaves: Vec::new(),
        }
    }

    /// The scalars of all rows and the blinds of the rows, of a prover.
    pub(crate) fn secrets(&self) -> Option<(&[F], &[F])> {
        match &self.role {
            Role::Prover { w, blinds, .. } => Some((w, blinds)),
            Role::Verifier { .. } => None,
        }
    }

    /// What the prover sent, in order.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self.role {
            Role::Prover { bytes, .. } => bytes,
            Role::Verifier { .. } => Vec::new(),
        }
    }

    /// Of a verifier: whether everything was read.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.role, Role::Verifier { bytes } if bytes.is_empty())
    }

    fn take(&mut self) -> Result<[u8; 32], TraceError> {
        let Role::Verifier { bytes } = &mut self.role else {
            return Err(TraceError::Shape);
        };
        let (head, rest) = bytes.split_first_chunk().ok_or(TraceError::Shape)?;
        *bytes = rest;
        Ok(*head)
    }

    /// So many points, absorbed as one part. A prover has them.
    pub(crate) fn points(
        &mut self,
        name: &str,
        count: usize,
        given: Option<Vec<PallasAffine>>,
    ) -> Result<Vec<PallasAffine>, TraceError> {
        #[cfg(test)]
        let given = given.map(|mut points| {
            if let Some(tamper) = &mut self.tamper_points {
                tamper(name, self.rows.len(), &mut points);
            }
            points
        });
        let points = match &mut self.role {
            Role::Prover { bytes, .. } => {
                let points = given.ok_or(TraceError::Invalid)?;
                for point in &points {
                    bytes.extend_from_slice(point.to_bytes().as_ref());
                }
                points
            }
            Role::Verifier { .. } => (0..count)
                .map(|_| {
                    let bytes = self.take()?;
                    point_from_bytes(&bytes, "point").map_err(|_| TraceError::Shape)
                })
                .collect::<Result<_, _>>()?,
        };
        if points.len() != count {
            return Err(TraceError::Invalid);
        }
        self.transcript.absorb_points(name, &points);
        Ok(points)
    }

    /// So many elements in the clear.
    pub(crate) fn shown(
        &mut self,
        count: usize,
        given: Option<Vec<F>>,
    ) -> Result<Vec<F>, TraceError> {
        let elements = match &mut self.role {
            Role::Prover { bytes, .. } => {
                let elements = given.ok_or(TraceError::Invalid)?;
                bytes.extend(elements.iter().flat_map(crate::weights::element_bytes));
                elements
            }
            Role::Verifier { .. } => (0..count)
                .map(|_| element_from_bytes(&self.take()?).ok_or(TraceError::Shape))
                .collect::<Result<_, _>>()?,
        };
        if elements.len() != count {
            return Err(TraceError::Invalid);
        }
        self.transcript.absorb_elements(&elements);
        Ok(elements)
    }

    /// A message of so many scalars, in rows of their own. A prover has their values.
    pub(crate) fn send(
        &mut self,
        count: usize,
        values: Option<Vec<F>>,
    ) -> Result<Vec<Combination>, TraceError> {
        #[cfg(test)]
        let values = values.map(|mut values| {
            if let Some(tamper) = &mut self.tamper {
                tamper(self.rows.len(), &mut values);
            }
            values
        });
        let first = self.rows.len() * ROW;
        let rows = count.div_ceil(ROW);
        let given = match &mut self.role {
            Role::Prover { key, w, blinds, .. } => {
                let values = values
                    .filter(|v| v.len() == count)
                    .ok_or(TraceError::Invalid)?;
                let mut points = Vec::with_capacity(rows);
                for row in values.chunks(ROW) {
                    let blind = F::random(OsRng);
                    points.push(key.commit(row, &blind));
                    blinds.push(blind);
                }
                w.extend(values);
                w.resize(first + rows * ROW, F::ZERO);
                Some(points)
            }
            Role::Verifier { .. } => None,
        };
        let points = self.points("message", rows, given)?;
        self.rows.extend(points);
        Ok((first..first + count)
            .map(|k| Combination {
                terms: vec![(k as u32, F::ONE)],
                constant: F::ZERO,
            })
            .collect())
    }

    pub(crate) fn challenge(&mut self, name: &str) -> F {
        self.transcript.challenge(name)
    }
}
