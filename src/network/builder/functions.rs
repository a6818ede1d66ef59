//! Functions, products and maxima.

use ndarray::ArrayViewD;

use super::{NetworkBuilder, Value};
use crate::{
    error::Error,
    network::{
        Function, Pool, SparseMatrix, limit,
        node::Node,
        shape::{Indices, broadcast, broadcast_indices},
        wrong,
    },
};

/// Most entries of the window of a maximum.
const MAX_WINDOW: usize = 1 << 10;

impl NetworkBuilder {
    /// A function of every entry.
    ///
    /// # Errors
    /// If a parameter of the function is not finite.
    pub fn function(&mut self, x: Value, function: Function) -> Result<Value, Error> {
        const NAME: &str = "function";
        let (node, shape) = self.get(NAME, x)?;
        if let Some(problem) = function.problem() {
            return Err(wrong(NAME, format!("{}: {problem}", function.name())));
        }
        if let Node::Constant(values) = &self.nodes[node] {
            self.room(Some(values.len()))?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounded to single precision"
            )]
            let values: Vec<f32> = values
                .iter()
                .map(|v| function.apply(f64::from(*v)) as f32)
                .collect();
            if values.iter().any(|v| !v.is_finite()) {
                return Err(wrong(
                    NAME,
                    format!("{} of a constant is not finite", function.name()),
                ));
            }
            self.spend(values.len())?;
            let node = self.push(Node::Constant(values))?;
            return self.name(node, shape);
        }
        let number = |v: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounded to single precision"
            )]
            let v = v as f32;
            ndarray::Array::from_elem(Vec::new(), v)
        };
        match function {
            Function::LeakyRelu(alpha) => self.prelu(x, number(alpha).view()),
            // |x| = relu(x) − (−1)·relu(−x)
            Function::Abs => self.prelu(x, number(-1.0).view()),
            Function::HardSigmoid { alpha, beta } => {
                let x = self.scale_shift(x, number(alpha).view(), number(beta).view())?;
                self.function(
                    x,
                    Function::Clip {
                        least: 0.0,
                        most: 1.0,
                    },
                )
            }
            Function::Clip { least, most }
                if least == f64::NEG_INFINITY || most == f64::INFINITY =>
            {
                if least == f64::NEG_INFINITY && most == f64::INFINITY {
                    return Ok(x);
                }
                // max(x, l) = l + relu(x − l), min(x, m) = m − relu(m − x)
                let (end, sign) = if most == f64::INFINITY {
                    (least, 1.0)
                } else {
                    (most, -1.0)
                };
                let over = self.scale_shift(x, number(sign).view(), number(-sign * end).view())?;
                let over = self.function(over, Function::Relu)?;
                self.scale_shift(over, number(sign).view(), number(end).view())
            }
            // A ReLU after a maximum belongs to it.
            Function::Relu if matches!(&self.nodes[node], Node::Maximum { .. }) => {
                let Node::Maximum { parts, .. } = &self.nodes[node] else {
                    return Ok(x);
                };
                let parts = parts.clone();
                let node = self.push(Node::Maximum { parts, relu: true })?;
                self.name(node, shape)
            }
            Function::Relu if matches!(&self.nodes[node], Node::Function(_, Function::Relu)) => {
                Ok(x)
            }
            function => {
                let node = self.push(Node::Function(node, function))?;
                self.name(node, shape)
            }
        }
    }

    /// Products, entry by entry; shapes broadcast. With a constant it is linear.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn mul(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        const NAME: &str = "product";
        for (x, constant) in [(a, b), (b, a)] {
            self.get(NAME, x)?;
            if let Some(values) = self.constant_value(constant) {
                let scale =
                    ndarray::ArrayD::from_shape_vec(self.shape(constant).to_vec(), values.to_vec());
                let scale = scale.map_err(|e| wrong(NAME, e.to_string()))?;
                let zero = ndarray::ArrayD::zeros(Vec::new());
                return self.scale_shift(x, scale.view(), zero.view());
            }
        }
        let shape = broadcast(NAME, &[self.shape(a), self.shape(b)])?;
        let (a, b) = (self.broadcast(a, &shape)?, self.broadcast(b, &shape)?);
        let (left, right) = (self.get(NAME, a)?.0, self.get(NAME, b)?.0);
        let node = self.push(Node::Product(left, right))?;
        self.name(node, shape)
    }

    /// The largest entry of windows of a value of channels and spatial dimensions, `C × …`; padding
    /// is no entry.
    ///
    /// # Errors
    /// If the window does not fit the value, lies in the padding somewhere, or has more than 1024
    /// entries.
    pub fn max_pool(&mut self, x: Value, pool: &Pool) -> Result<Value, Error> {
        const NAME: &str = "max pooling";
        let (node, from) = self.get(NAME, x)?;
        let (windows, shape) = Self::pool_windows(NAME, &from, pool)?;
        let len: usize = shape.iter().product();
        let most = pool.kernel.iter().product::<usize>();
        if most > MAX_WINDOW {
            return Err(limit(
                NAME,
                format!("a window of {most} entries, at most {MAX_WINDOW}"),
            ));
        }
        self.room(most.checked_mul(len))?;
        // Both are monotone: the order does not matter, and the maximum needs its entries in an order
        // of its own.
        let (node, relu) = match &self.nodes[node] {
            Node::Function(z, Function::Relu) => (*z, true),
            _ => (node, false),
        };
        let spatial = from[1..].iter().product::<usize>();
        let mut places = Vec::new();
        for position in Indices::new(&shape[1..]) {
            let inside: Vec<usize> = windows.at(&position).0.iter().map(|e| e.1).collect();
            if inside.is_empty() {
                return Err(wrong(NAME, "a window lies in the padding"));
            }
            places.push(inside);
        }
        let count = places.iter().map(Vec::len).max().unwrap_or(1);
        let inputs = from.iter().product::<usize>();
        let mut parts = Vec::new();
        for k in 0..count {
            let places = &places;
            // A window with fewer entries repeats one.
            let indices: Vec<usize> = (0..shape[0])
                .flat_map(|c| places.iter().map(move |p| c * spatial + p[k % p.len()]))
                .collect();
            let part = SparseMatrix::selection(inputs, &indices)?;
            let part = part.under(windows.tap(shape[0], k));
            parts.push(self.push_linear(NAME, vec![(node, part)], None, len)?);
        }
        let node = self.maximum_of(parts, relu)?;
        self.name(node, shape)
    }

    fn maximum_of(&mut self, mut parts: Vec<usize>, relu: bool) -> Result<usize, Error> {
        parts.sort_unstable();
        parts.dedup();
        match (parts.as_slice(), relu) {
            ([one], false) => Ok(*one),
            ([one], true) => self.push(Node::Function(*one, Function::Relu)),
            _ => self.push(Node::Maximum { parts, relu }),
        }
    }

    /// The largest entry of each channel of a value `C × …`; the result is `C × 1 × …`.
    ///
    /// # Errors
    /// If the value has no spatial dimension, or more than 1024 entries in a channel.
    pub fn global_max_pool(&mut self, x: Value) -> Result<Value, Error> {
        let pool = self.whole("global max pooling", x)?;
        self.max_pool(x, &pool)
    }

    /// `max(a, b)`, entry by entry; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn maximum(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        const NAME: &str = "maximum";
        for (x, constant) in [(a, b), (b, a)] {
            if self.constant_value(constant).is_some() && self.constant_value(x).is_none() {
                // max(x, c) = relu(x − c) + c
                let over = self.sub(x, constant)?;
                let over = self.function(over, Function::Relu)?;
                return self.add(over, constant);
            }
        }
        let shape = broadcast(NAME, &[self.shape(a), self.shape(b)])?;
        let (a, b) = (self.broadcast(a, &shape)?, self.broadcast(b, &shape)?);
        let (left, right) = (self.get(NAME, a)?.0, self.get(NAME, b)?.0);
        if let (Node::Constant(left), Node::Constant(right)) =
            (&self.nodes[left], &self.nodes[right])
        {
            let largest = left.iter().zip(right).map(|(a, b)| a.max(*b)).collect();
            let node = self.push(Node::Constant(largest))?;
            return self.name(node, shape);
        }
        let node = self.maximum_of(vec![left, right], false)?;
        self.name(node, shape)
    }

    /// `min(a, b)`, entry by entry; shapes broadcast.
    ///
    /// # Errors
    /// If the shapes do not broadcast.
    pub fn minimum(&mut self, a: Value, b: Value) -> Result<Value, Error> {
        let (a, b) = (self.neg(a)?, self.neg(b)?);
        let largest = self.maximum(a, b)?;
        self.neg(largest)
    }

    /// `x` where it is positive, `slope·x` elsewhere; the slope broadcasts to the value.
    ///
    /// # Errors
    /// If the slope does not broadcast to the value's shape, or is not finite.
    pub fn prelu(&mut self, x: Value, slope: ArrayViewD<'_, f32>) -> Result<Value, Error> {
        const NAME: &str = "leaky relu";
        let (node, shape) = self.get(NAME, x)?;
        broadcast_indices(NAME, slope.shape(), &shape)?;
        if slope.iter().all(|s| *s == 0.0) {
            return self.function(x, Function::Relu);
        }
        if matches!(self.nodes[node], Node::Constant(_)) {
            return Err(wrong(NAME, "the value is a constant"));
        }
        // relu(x) − slope·relu(−x) = (1 − slope)·relu(x) + slope·x, both of one register.
        let identity = self.push(Node::Identity(node))?;
        let identity = self.name(identity, shape.clone())?;
        let relu = self.function(identity, Function::Relu)?;
        let zero = ndarray::ArrayD::zeros(Vec::new());
        let kept = self.scale_shift(relu, slope.mapv(|s| 1.0 - s).view(), zero.view())?;
        let rest = self.scale_shift(identity, slope, zero.view())?;
        self.add(kept, rest)
    }

    /// Index of the largest entry, of equal ones the first, all axes as one; shape `[1]`. It can only
    /// be the output.
    ///
    /// # Errors
    /// If the network is too large.
    pub fn argmax(&mut self, x: Value) -> Result<Value, Error> {
        const NAME: &str = "index of the largest entry";
        let (node, _) = self.get(NAME, x)?;
        let node = self.push(Node::ArgMax(node))?;
        self.name(node, vec![1])
    }
}
