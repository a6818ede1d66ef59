//! Choices of an import.

/// Choices of an import.
#[derive(Clone, Debug)]
#[must_use]
pub struct ImportOptions {
    pub(super) max_file_bytes: u64,
    pub(super) drop_softmax: bool,
    pub(super) output: Option<String>,
    pub(super) input_shape: Option<Vec<usize>>,
    pub(super) dimensions: Vec<(String, usize)>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 30,
            drop_softmax: false,
            output: None,
            input_shape: None,
            dimensions: Vec::new(),
        }
    }
}

impl ImportOptions {
    /// The default: files of up to 2^30 bytes, one output, a softmax at the end is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest size of a file.
    pub fn max_file_bytes(mut self, bytes: u64) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Whether a `Softmax` or `LogSoftmax` at the end is left out: the outputs are logits then,
    /// in the same order of size. [`ImportReport::notes`](super::ImportReport::notes) says so.
    pub fn drop_softmax(mut self, drop: bool) -> Self {
        self.drop_softmax = drop;
        self
    }

    /// The output, or any value in between, that is the network's output. Necessary for a file
    /// with several.
    pub fn output(mut self, name: impl Into<String>) -> Self {
        self.output = Some(name.into());
        self
    }

    /// The shape of the input, the batch among its dimensions, instead of the file's.
    pub fn input_shape(mut self, shape: impl IntoIterator<Item = usize>) -> Self {
        self.input_shape = Some(shape.into_iter().collect());
        self
    }

    /// The size of a dimension that the file names and leaves open. The first dimension of the input
    /// is 1 if nothing is said.
    pub fn dimension(mut self, name: impl Into<String>, size: usize) -> Self {
        self.dimensions.push((name.into(), size));
        self
    }
}
