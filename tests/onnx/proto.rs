//! As much of the encoding of ONNX files as it takes to write small and wrong ones.

/// A message of protobuf.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn int(mut self, field: u64, value: i64) -> Self {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value as u64);
        self
    }

    pub(crate) fn float(mut self, field: u64, value: f32) -> Self {
        varint(&mut self.0, field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, field: u64, content: &[u8]) -> Self {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, content.len() as u64);
        self.0.extend(content);
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }

    /// Repeated texts.
    pub(crate) fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |m, t| m.text(field, t))
    }

    /// Repeated integers, not packed.
    pub(crate) fn ints(self, field: u64, values: &[i64]) -> Self {
        values.iter().fold(self, |m, v| m.int(field, *v))
    }

    // The messages of ONNX.

    /// A node named `n` after its operator.
    pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        Self::new()
            .texts(1, inputs)
            .texts(2, outputs)
            .text(3, &format!("the {operator}"))
            .text(4, operator)
    }

    pub(crate) fn int_attribute(self, name: &str, value: i64) -> Self {
        self.message(5, Self::new().text(1, name).int(3, value).int(20, 2))
    }

    pub(crate) fn float_attribute(self, name: &str, value: f32) -> Self {
        self.message(5, Self::new().text(1, name).float(2, value).int(20, 1))
    }

    pub(crate) fn text_attribute(self, name: &str, value: &str) -> Self {
        self.message(5, Self::new().text(1, name).text(4, value).int(20, 3))
    }

    pub(crate) fn ints_attribute(self, name: &str, values: &[i64]) -> Self {
        self.message(5, Self::new().text(1, name).ints(8, values).int(20, 7))
    }

    pub(crate) fn graph_attribute(self, name: &str, graph: Self) -> Self {
        self.message(5, Self::new().text(1, name).message(6, graph).int(20, 5))
    }

    /// A tensor of floats with this data.
    pub(crate) fn tensor(name: &str, dims: &[i64], data: &[f32]) -> Self {
        let raw: Vec<u8> = data.iter().flat_map(|f| f.to_le_bytes()).collect();
        Self::new()
            .ints(1, dims)
            .int(2, 1)
            .text(8, name)
            .bytes(9, &raw)
    }

    pub(crate) fn int_tensor(name: &str, dims: &[i64], data: &[i64]) -> Self {
        let raw: Vec<u8> = data.iter().flat_map(|i| i.to_le_bytes()).collect();
        Self::new()
            .ints(1, dims)
            .int(2, 7)
            .text(8, name)
            .bytes(9, &raw)
    }

    /// An input of this element type and shape; -1 is a dimension called `time`.
    pub(crate) fn port(name: &str, element: i64, dims: &[i64]) -> Self {
        let shape = dims.iter().fold(Self::new(), |shape, d| {
            let dim = match d {
                -1 => Self::new().text(2, "time"),
                d => Self::new().int(1, *d),
            };
            shape.message(1, dim)
        });
        let tensor = Self::new().int(1, element).message(2, shape);
        Self::new()
            .text(1, name)
            .message(2, Self::new().message(1, tensor))
    }

    /// A graph of floats `x` of this shape to `y`.
    pub(crate) fn graph(dims: &[i64], nodes: &[Self], tensors: &[Self]) -> Self {
        Self::new()
            .message(11, Self::port("x", 1, dims))
            .message(12, Self::new().text(1, "y"))
            .parts(nodes, tensors)
    }

    pub(crate) fn parts(self, nodes: &[Self], tensors: &[Self]) -> Self {
        let graph = nodes.iter().fold(self, |g, n| g.message(1, n.clone()));
        tensors.iter().fold(graph, |g, t| g.message(5, t.clone()))
    }

    pub(crate) fn model(graph: Self, opset: i64) -> Self {
        Self::new()
            .int(1, 8)
            .message(7, graph)
            .message(8, Self::new().int(2, opset))
    }
}
