//! Networks that are no multilayer perceptrons, with random weights of a fixed seed.

use layerfold::{
    Error,
    network::{Conv, Function, Network, NetworkBuilder, Pool, Value},
};
use ndarray::{Array1, Array2, ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// A network and inputs to calibrate it with, one to a row.
pub(crate) struct Net {
    pub(crate) graph: Network,
    pub(crate) calibration: Array2<f32>,
}

/// The network of a name, if there is one:
///
/// - `cnn-mnist`: 5×5 convolutions of stride 2 to 8 and 16 channels, ReLU, dense to 10, on 28×28;
/// - `lenet`: 5×5 convolutions to 6 and 16 channels with average pooling, dense 256-120-84-10, ReLU;
/// - `zator-N`: N + 1 padded 3×3 convolutions of two channels on 28×28, ReLU, dense to 10;
/// - `resmlp-N`: N blocks `x + W2·relu(W1·x + b1) + b2` of width 128, dense to 10.
pub(crate) fn net(name: &str) -> Option<Result<Net, Error>> {
    match name {
        "cnn-mnist" => return Some(cnn_mnist()),
        "lenet" => return Some(lenet()),
        _ => {}
    }
    if let Some(layers) = name.strip_prefix("zator-").and_then(|n| n.parse().ok()) {
        return Some(zator(layers));
    }
    let blocks = name.strip_prefix("resmlp-").and_then(|n| n.parse().ok());
    blocks.map(resmlp)
}

/// A network that is being built, and where its weights come from.
struct Random {
    g: NetworkBuilder,
    rng: ChaCha20Rng,
    inputs: usize,
}

impl Random {
    fn new(shape: &[usize]) -> Self {
        Self {
            g: NetworkBuilder::new(shape.iter().copied()),
            rng: ChaCha20Rng::seed_from_u64(7),
            inputs: shape.iter().product(),
        }
    }

    fn normal(&mut self) -> f32 {
        // Box–Muller
        let (u, v): (f64, f64) = (self.rng.r#gen::<f64>().max(1e-12), self.rng.r#gen());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// Weights with He's standard deviation.
    fn weights(&mut self, shape: &[usize]) -> ArrayD<f32> {
        let fan_in: usize = shape[1..].iter().product();
        let deviation = (2.0 / fan_in as f32).sqrt();
        ArrayD::from_shape_fn(IxDyn(shape), |_| deviation * self.normal())
    }

    fn bias(&mut self, len: usize) -> Array1<f32> {
        Array1::from_shape_fn(len, |_| 0.05 * self.normal())
    }

    fn dense(&mut self, x: Value, outputs: usize) -> Result<Value, Error> {
        let inputs: usize = self.g.shape(x).iter().product();
        let x = self.g.reshape(x, &[inputs])?;
        let flat = self.weights(&[outputs, inputs]);
        let weight = Array2::from_shape_fn((outputs, inputs), |(i, j)| flat[[i, j]]);
        let bias = self.bias(outputs);
        self.g.dense(x, weight.view(), Some(bias.view()))
    }

    fn conv(
        &mut self,
        x: Value,
        outputs: usize,
        kernel: usize,
        conv: &Conv,
    ) -> Result<Value, Error> {
        let inputs = self.g.shape(x)[0];
        let weight = self.weights(&[outputs, inputs, kernel, kernel]);
        let bias = self.bias(outputs);
        self.g.conv(x, weight.view(), Some(bias.view()), conv)
    }

    fn relu(&mut self, x: Value) -> Result<Value, Error> {
        self.g.function(x, Function::Relu)
    }

    fn build(mut self, output: Value) -> Result<Net, Error> {
        let inputs = self.inputs;
        let calibration = Array2::from_shape_fn((20, inputs), |_| self.normal());
        Ok(Net {
            graph: self.g.build(output)?,
            calibration,
        })
    }
}

fn cnn_mnist() -> Result<Net, Error> {
    let mut net = Random::new(&[1, 28, 28]);
    let by_two = Conv {
        strides: vec![2, 2],
        ..Conv::default()
    };
    let mut x = net.g.input();
    for channels in [8, 16] {
        x = net.conv(x, channels, 5, &by_two)?;
        x = net.relu(x)?;
    }
    let y = net.dense(x, 10)?;
    net.build(y)
}

fn lenet() -> Result<Net, Error> {
    let mut net = Random::new(&[1, 28, 28]);
    let mut x = net.g.input();
    for channels in [6, 16] {
        x = net.conv(x, channels, 5, &Conv::default())?;
        x = net.relu(x)?;
        x = net.g.average_pool(x, &Pool::tiles([2, 2]))?;
    }
    for outputs in [120, 84] {
        x = net.dense(x, outputs)?;
        x = net.relu(x)?;
    }
    let y = net.dense(x, 10)?;
    net.build(y)
}

fn zator(layers: usize) -> Result<Net, Error> {
    let mut net = Random::new(&[1, 28, 28]);
    let padded = Conv {
        pads: vec![(1, 1); 2],
        ..Conv::default()
    };
    let mut x = net.g.input();
    for _ in 0..=layers {
        x = net.conv(x, 2, 3, &padded)?;
        x = net.relu(x)?;
    }
    let y = net.dense(x, 10)?;
    net.build(y)
}

fn resmlp(blocks: usize) -> Result<Net, Error> {
    let mut net = Random::new(&[128]);
    let mut x = net.g.input();
    for _ in 0..blocks {
        let h = net.dense(x, 128)?;
        let h = net.relu(h)?;
        let h = net.dense(h, 128)?;
        x = net.g.add(x, h)?;
    }
    let y = net.dense(x, 10)?;
    net.build(y)
}
