//! The parts of an ONNX file that the import reads.

use std::{collections::HashSet, sync::Arc};

use super::{
    error::{Failure, Outcome, UnsupportedNode},
    limits::Limits,
    tensor::Tensor,
};

/// A model: a graph and the operator set that gives its nodes their meaning.
pub(super) struct File {
    pub(super) producer: String,
    pub(super) opset: i64,
    pub(super) graph: Body,
    /// What of it is not supported, found before any node is looked at.
    pub(super) unsupported: Vec<UnsupportedNode>,
    /// What importing it may cost.
    pub(super) limits: Limits,
}

/// A graph, or the body of a node like `Scan`.
pub(super) struct Body {
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<String>,
    pub(super) initializers: Vec<(String, Arc<Tensor>)>,
}

/// An input of a graph.
pub(super) struct Port {
    pub(super) name: String,
    /// `None` if the file does not say.
    pub(super) shape: Option<Vec<Dim>>,
    /// The name of the type of its entries.
    pub(super) element: &'static str,
}

/// A dimension of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    Known(i64),
    Named(String),
    Unknown,
}

pub(super) struct Node {
    /// Its name; if it has none, that of its first output.
    pub(super) name: String,
    pub(super) operator: String,
    /// Empty for ONNX's own operators.
    pub(super) domain: String,
    /// An empty name is an input that is left out.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<(String, Attribute)>,
}

impl Node {
    /// Its operator, after the domain and a dot if it is not one of ONNX's own.
    pub(super) fn qualified_operator(&self) -> String {
        if self.domain.is_empty() {
            self.operator.clone()
        } else {
            format!("{}.{}", self.domain, self.operator)
        }
    }
}

pub(super) enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Arc<Tensor>),
    Graph(Box<Body>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
    /// One of another type.
    Other(&'static str),
}

impl Attribute {
    fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "FLOAT",
            Self::Int(_) => "INT",
            Self::Text(_) => "STRING",
            Self::Tensor(_) => "TENSOR",
            Self::Graph(_) => "GRAPH",
            Self::Floats(_) => "FLOATS",
            Self::Ints(_) => "INTS",
            Self::Texts(_) => "STRINGS",
            Self::Other(kind) => kind,
        }
    }
}

macro_rules! typed {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty, $kind:literal) => {
        $(#[$doc])*
        pub(super) fn $name(&self, name: &str) -> Outcome<Option<$type>> {
            match self.attribute(name) {
                None => Ok(None),
                Some(Attribute::$variant(value)) => Ok(Some(value)),
                Some(other) => Err(Failure::malformed(format!(
                    "attribute `{name}` is of type {}, expected {}",
                    other.kind(),
                    $kind
                ))),
            }
        }
    };
}

impl Node {
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, a)| a)
    }

    typed!(float_attribute, Float, &f32, "FLOAT");
    typed!(int_attribute, Int, &i64, "INT");
    typed!(text, Text, &String, "STRING");
    typed!(tensor, Tensor, &Arc<Tensor>, "TENSOR");
    typed!(graph, Graph, &Body, "GRAPH");
    typed!(ints, Ints, &Vec<i64>, "INTS");
    typed!(floats, Floats, &Vec<f32>, "FLOATS");
    typed!(texts, Texts, &Vec<String>, "STRINGS");

    pub(super) fn float(&self, name: &str, default: f32) -> Outcome<f32> {
        Ok(self.float_attribute(name)?.copied().unwrap_or(default))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        Ok(self.int_attribute(name)?.copied().unwrap_or(default))
    }

    /// An attribute that is 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Failure::malformed(format!(
                "attribute `{name}` is {other}, expected 0 or 1"
            ))),
        }
    }

    /// Names of inputs and of the outer values that bodies of this node read.
    pub(super) fn reads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .inputs
            .iter()
            .map(String::as_str)
            .filter(|i| !i.is_empty())
            .collect();
        for (_, attribute) in &self.attributes {
            if let Attribute::Graph(body) = attribute {
                // Its own names among them do no harm: they are not defined outside.
                names.extend(body.outputs.iter().map(String::as_str));
                for node in &body.nodes {
                    names.extend(node.reads());
                }
            }
        }
        names
    }
}

/// Indices of the nodes that these values depend on.
pub(super) fn needed(nodes: &[Node], outputs: &[&str]) -> HashSet<usize> {
    let mut values: HashSet<&str> = outputs.iter().copied().collect();
    let mut needed = HashSet::new();
    for (k, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|o| values.contains(o.as_str())) {
            needed.insert(k);
            values.extend(node.reads());
        }
    }
    needed
}
