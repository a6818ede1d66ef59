//! What the operators of a walk read and change.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    error::{Failure, Outcome, UnsupportedNode},
    file::Body,
    fold::Folding,
    movement::{Entries, Moved},
    options::ImportOptions,
    report::ImportReport,
    tensor::{Data, Tensor},
    time::{Frames, Time},
    unary::{Kind, Unary},
};
use crate::network::{NetworkBuilder, SparseMatrix, Value};

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Term {
    Constant(Arc<Tensor>),
    Computed(Computed),
    /// Behind a node that is not supported.
    Unknown,
    /// A constant that is not read.
    Missing,
}

/// A function of every entry of a value.
#[derive(Clone)]
pub(super) struct Computed {
    pub(super) base: Value,
    pub(super) function: Unary,
}

impl From<Value> for Term {
    fn from(base: Value) -> Self {
        Self::Computed(Computed {
            base,
            function: Unary::input(),
        })
    }
}

impl From<Tensor> for Term {
    fn from(tensor: Tensor) -> Self {
        Arc::new(tensor).into()
    }
}

impl From<Arc<Tensor>> for Term {
    fn from(tensor: Arc<Tensor>) -> Self {
        match tensor.data() {
            Data::Missing => Self::Missing,
            _ => Self::Constant(tensor),
        }
    }
}

/// What a name of the file stands for, and what that is of the frames of a recurrent network.
#[derive(Clone)]
pub(super) struct Stamped {
    pub(super) term: Term,
    pub(super) time: Time,
}

impl From<Term> for Stamped {
    fn from(term: Term) -> Self {
        Self {
            term,
            time: Time::None,
        }
    }
}

pub(super) fn initializers(body: &Body) -> HashMap<String, Stamped> {
    body.initializers
        .iter()
        .map(|(name, tensor)| (name.clone(), Term::from(tensor.clone()).into()))
        .collect()
}

/// Where what a softmax gives goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SoftmaxEnd {
    /// The output of the network, perhaps in another shape.
    Output,
    /// Nothing but the index of the largest entry.
    ArgMax,
}

/// The state of the walk.
pub(super) struct Importer<'f> {
    pub(super) options: &'f ImportOptions,
    pub(super) opset: i64,
    pub(super) builder: NetworkBuilder,
    /// What names stand for: in the graph, and in the bodies that the walk is in.
    pub(super) scopes: Vec<HashMap<String, Stamped>>,
    /// Of a recurrent network.
    pub(super) frames: Option<Frames>,
    /// Whether a recurrent node found something other than time where it must be.
    pub(super) misplaced: bool,
    pub(super) unsupported: Vec<UnsupportedNode>,
    /// The same.
    pub(super) reported: HashSet<UnsupportedNode>,
    pub(super) report: ImportReport,
    /// The notes of the report.
    pub(super) noted: HashSet<String>,
    /// Values of functions that were needed; the function is kept so that its address stays its own.
    pub(super) lowered: HashMap<(Value, usize), (Unary, Value)>,
    /// Values that are the index of a largest entry.
    pub(super) indices: HashSet<Value>,
    pub(super) softmax: HashMap<String, SoftmaxEnd>,
    pub(super) folding: Folding,
}

impl Importer<'_> {
    pub(super) fn define(&mut self, name: &str, value: Stamped) {
        if let (false, Some(scope)) = (name.is_empty(), self.scopes.last_mut()) {
            scope.insert(name.to_owned(), value);
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Outcome<Stamped> {
        self.scopes
            .iter()
            .rev()
            .find_map(|s| s.get(name))
            .cloned()
            .ok_or_else(|| {
                Failure::malformed(format!("nothing before it gives the value `{name}`"))
            })
    }

    /// What a move makes of a value of this shape.
    pub(super) fn place(&mut self, x: &Term, shape: &[usize], moved: Moved) -> Outcome<Term> {
        if let (Entries::Same, true) = (&moved.entries, moved.shape == shape) {
            return Ok(x.clone());
        }
        if moved.shape.contains(&0) {
            return Err(Failure::unsupported("nothing is left of the value"));
        }
        let value = self.value(x)?;
        let indices = match moved.entries {
            Entries::Same => return Ok(self.builder.reshape(value, &moved.shape)?.into()),
            Entries::Transposed(permutation) => {
                return Ok(self.builder.transpose(value, &permutation)?.into());
            }
            Entries::PerAxis(lists) => {
                let value = self.builder.gather_all(value, &lists)?;
                return Ok(self.builder.reshape(value, &moved.shape)?.into());
            }
            Entries::Selected(indices) => indices,
        };
        self.builder.has_room(indices.len().saturating_mul(2))?;
        let matrix = SparseMatrix::selection(shape.iter().product(), &indices)?;
        Ok(self
            .builder
            .linear(value, matrix, None, &moved.shape)?
            .into())
    }

    pub(super) fn required(&self, inputs: &[Option<Term>], index: usize) -> Outcome<Term> {
        inputs
            .get(index)
            .cloned()
            .flatten()
            .ok_or_else(|| Failure::malformed(format!("input {index} is missing")))
    }

    /// An input that must be a constant, if it is there.
    pub(super) fn constant(
        &self,
        inputs: &[Option<Term>],
        index: usize,
        what: &str,
    ) -> Outcome<Option<Arc<Tensor>>> {
        match inputs.get(index).and_then(Option::as_ref) {
            None => Ok(None),
            Some(Term::Constant(tensor)) => Ok(Some(tensor.clone())),
            Some(_) => Err(Failure::unsupported(format!(
                "its {what} depends on the input of the network"
            ))),
        }
    }

    pub(super) fn required_constant(
        &self,
        inputs: &[Option<Term>],
        index: usize,
        what: &str,
    ) -> Outcome<Arc<Tensor>> {
        self.constant(inputs, index, what)?
            .ok_or_else(|| Failure::malformed(format!("its {what} is missing")))
    }

    pub(super) fn shape(&self, term: &Term) -> Vec<usize> {
        match term {
            Term::Constant(tensor) => tensor.shape().to_vec(),
            Term::Computed(c) => self.builder.shape(c.base).to_vec(),
            Term::Unknown | Term::Missing => Vec::new(),
        }
    }

    /// The number of frames; one for a network without.
    pub(super) fn frame_count(&self) -> usize {
        self.frames.map_or(1, |f| f.count)
    }

    /// The shape that a value has in the file.
    pub(super) fn whole_shape(&self, value: &Stamped) -> Vec<usize> {
        let mut shape = self.shape(&value.term);
        if let Time::Axis(at) = value.time
            && let Some(size) = shape.get_mut(at)
        {
            *size = self.frame_count();
        }
        shape
    }

    pub(super) fn size(&self, term: &Term) -> usize {
        match term {
            Term::Constant(tensor) => tensor.len(),
            Term::Computed(c) => self.builder.shape(c.base).iter().product(),
            Term::Unknown | Term::Missing => 0,
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if self.noted.insert(note.clone()) {
            self.report.notes.push(note);
        }
    }

    /// The value of a term.
    pub(super) fn value(&mut self, term: &Term) -> Outcome<Value> {
        match term {
            Term::Constant(tensor) => {
                let array = tensor.array()?;
                if tensor.len() == 0 {
                    return Err(Failure::unsupported("a constant without entries"));
                }
                if array.iter().any(|v| !v.is_finite()) {
                    return Err(Failure::malformed("a constant is not finite"));
                }
                Ok(self.builder.constant(array.view()))
            }
            Term::Computed(c) => self.lower(c.base, &c.function),
            Term::Missing => Err(Failure::unsupported("a constant is not read")),
            Term::Unknown => Err(Failure::unsupported(
                "it depends on a second output of `Dropout`, `MaxPool` or `BatchNormalization`",
            )),
        }
    }

    /// The value `f(base)`. Sums of functions stay sums, and what is linear stays outside of
    /// functions: as weights.
    fn lower(&mut self, base: Value, f: &Unary) -> Outcome<Value> {
        let key = (base, f.address());
        if let Some((_, value)) = self.lowered.get(&key) {
            return Ok(*value);
        }
        let value = match (f.as_affine(), f.kind()) {
            (Some((1.0, 0.0)), _) => base,
            (Some((scale, shift)), _) => self.affine(base, scale, shift)?,
            (None, kind) => match (f.recognise(), kind) {
                (Some(function), _) => self.builder.function(base, function)?,
                (None, Kind::Affine(scale, shift, g)) => {
                    let g = self.lower(base, g)?;
                    self.affine(g, *scale, *shift)?
                }
                (None, Kind::Sum(g, sign, h)) => {
                    let (g, h) = (self.lower(base, g)?, self.lower(base, h)?);
                    if *sign < 0.0 {
                        self.builder.sub(g, h)?
                    } else {
                        self.builder.add(g, h)?
                    }
                }
                (None, Kind::Apply(function, g)) if g.as_affine().is_some() => {
                    let g = self.lower(base, g)?;
                    self.builder.function(g, function.clone())?
                }
                (None, _) => {
                    let function = f.function();
                    self.note(format!(
                        "one function is made of several nodes, and its constants are public: {f}"
                    ));
                    self.builder.function(base, function)?
                }
            },
        };
        self.lowered.insert(key, (f.clone(), value));
        Ok(value)
    }
}
