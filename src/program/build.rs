//! From the integer shape of a network of layers to its program.

use serde::{Deserialize, Serialize};

use super::{Affine, Builder, Program, ProgramError, Register, Table};

/// What is applied to the requantised sums of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// The requantised value itself.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// Lookup in the table of this index.
    Table(u32),
}

/// One dense layer and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Number of inputs.
    pub inputs: u32,
    /// Number of neurons.
    pub outputs: u32,
    /// What is applied to the requantised sums.
    pub activation: Activation,
}

/// The integer shape of a network of layers: everything but the weights.
///
/// A layer is a sum of affine maps, one for each value that it reads, and an activation. In a chain
/// of layers each reads the one before; residual networks have layers that read more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkShape {
    /// The layers, in order.
    pub layers: Vec<LayerShape>,
    /// The values that each layer reads, in ascending order: value 0 is the input of the network,
    /// value `l` the result of layer `l - 1`. The inputs of a layer are the entries of all of them.
    /// Empty if every layer reads the one before it and nothing else.
    pub reads: Vec<Vec<u32>>,
    /// Tables that activations refer to.
    pub tables: Vec<Table>,
    /// Width of inputs and activations.
    pub width: u8,
    /// Accumulator bits `B` of every layer.
    pub bits: u8,
    /// Requantising shift `s` of every layer.
    pub shift: u8,
}

impl NetworkShape {
    /// The program of this network.
    ///
    /// If the last layer has no activation, the output is the exact sums, before any rounding.
    /// Otherwise the output is the activation.
    ///
    /// # Errors
    /// [`ProgramError`] if a dimension is zero or too large, layers do not fit each other, or an
    /// activation names a table that does not exist.
    pub fn program(&self) -> Result<Program, ProgramError> {
        self.check_reads()?;
        let mut builder = Builder::new(self.layers[0].inputs, self.width);
        for table in &self.tables {
            builder.table(table.clone());
        }
        let mut values = vec![builder.frame()];
        let last = self.layers.len() - 1;
        for (l, layer) in self.layers.iter().enumerate() {
            let terms: Vec<(u32, Register)> = self
                .reads_of(l)
                .map(|v| (builder.map(layer.outputs, self.value_len(v)), values[v]))
                .collect();
            let reach = Affine::reach_of(self.bits, self.shift);
            let mut x = builder.affine(&terms, reach)?;
            if l < last || layer.activation != Activation::Identity {
                x = builder.requantize(x, self.shift, self.width)?;
            }
            x = match layer.activation {
                Activation::Identity => x,
                Activation::Relu => builder.relu(x)?,
                Activation::Table(t) => match self.tables.get(t as usize) {
                    Some(table) => builder.look_up(x, table.clone())?,
                    None => return Err(ProgramError::Structure("an activation names no table")),
                },
            };
            values.push(x);
        }
        builder.finish(values[last + 1])
    }

    /// Checks that every layer has as many inputs as it reads entries.
    pub(super) fn check_reads(&self) -> Result<(), ProgramError> {
        if self.layers.is_empty() {
            return Err(ProgramError::Structure("the network has no layer"));
        }
        if !self.reads.is_empty() && self.reads.len() != self.layers.len() {
            return Err(ProgramError::Structure(
                "what is read must be said of every layer or of none",
            ));
        }
        let ordered = |(layer, read): (usize, &Vec<u32>)| {
            let ascending = read.windows(2).all(|w| w[0] < w[1]);
            let within = read.last().is_some_and(|last| *last as usize <= layer);
            ascending && within
        };
        if !self.reads.iter().enumerate().all(ordered) {
            return Err(ProgramError::Structure(
                "a layer reads values before it, each once, in ascending order",
            ));
        }
        let inputs = |layer: usize| {
            let lens = self.reads_of(layer).map(|v| u64::from(self.value_len(v)));
            lens.sum::<u64>()
        };
        let mut layers = self.layers.iter().enumerate();
        if layers.any(|(l, layer)| inputs(l) != u64::from(layer.inputs)) {
            return Err(ProgramError::Structure(
                "a layer has not as many inputs as the values it reads have entries",
            ));
        }
        Ok(())
    }

    /// The values that a layer reads: 0 is the input, `l` the result of layer `l - 1`.
    pub(super) fn reads_of(&self, layer: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let own = self.reads.get(layer).map(Vec::as_slice);
        let chain = own.is_none().then_some(layer);
        own.unwrap_or_default()
            .iter()
            .map(|v| *v as usize)
            .chain(chain)
    }

    /// Entries of a value.
    pub(super) fn value_len(&self, value: usize) -> u32 {
        match value.checked_sub(1) {
            None => self.layers[0].inputs,
            Some(layer) => self.layers[layer].outputs,
        }
    }
}
