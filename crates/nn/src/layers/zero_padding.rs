//! A border of zeros.

use crate::config::{Config, number};
use crate::layer::{Builder, Context, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use striate_autograd::Var;
use striate_tensor::{Error, PadMode, Result, Shape};

/// A border of zeros around time series: see [`ZeroPadding`].
pub type ZeroPadding1D = ZeroPadding<1>;
/// A border of zeros around images: see [`ZeroPadding`].
pub type ZeroPadding2D = ZeroPadding<2>;
/// A border of zeros around volumes: see [`ZeroPadding`].
pub type ZeroPadding3D = ZeroPadding<3>;

/// Adds a border to each spatial axis: zeros, or what [`ZeroPadding::mode`] says.
///
/// # Shapes
/// (n, spatial…, channels) → (n, before + spatial + after…, channels).
///
/// Source: <https://keras.io/api/layers/reshaping_layers/>.
#[derive(Debug, Clone)]
pub struct ZeroPadding<const AXES: usize> {
    padding: [(usize, usize); AXES],
    mode: PadMode,
}

impl<const AXES: usize> ZeroPadding<AXES> {
    /// The same border on all sides.
    pub fn new(padding: usize) -> Self {
        ZeroPadding { padding: [(padding, padding); AXES], mode: PadMode::Constant(0.0) }
    }

    /// (before, after) for each axis.
    pub fn sides(padding: [(usize, usize); AXES]) -> Self {
        ZeroPadding { padding, mode: PadMode::Constant(0.0) }
    }

    /// What the border is made of. Default zeros; Keras has no other.
    pub fn mode(mut self, mode: PadMode) -> Self {
        self.mode = mode;
        self
    }

    fn pads(&self) -> Vec<(usize, usize)> {
        let mut pads = vec![(0, 0)];
        pads.extend(self.padding);
        pads.push((0, 0));
        pads
    }

    fn class() -> &'static str {
        ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"][AXES - 1]
    }

    pub(crate) fn from_config(config: &Config<'_>) -> Result<Arc<dyn Layer>> {
        super::require_channels_last(config)?;
        let padding = sides_from_json(config, "padding", 1)?;
        let mode = match config.get("mode") {
            None => PadMode::Constant(0.0),
            Some(Value::String(name)) if name == "replicate" => PadMode::Replicate,
            Some(Value::String(name)) if name == "reflect" => PadMode::Reflect,
            Some(_) => PadMode::Constant(config.f32("mode", None)?),
        };
        Ok(Arc::new(ZeroPadding::<AXES> { padding, mode }))
    }
}

/// (before, after) for each axis from a key: one number, one pair (one axis), or for each axis a number or a pair.
pub(super) fn sides_from_json<const AXES: usize>(
    config: &Config<'_>,
    key: &str,
    default: usize,
) -> Result<[(usize, usize); AXES]> {
    let value = config.get(key).cloned().unwrap_or(json!(default));
    let size = |v: &Value| v.as_u64().filter(|&n| n < 1 << 31).map(|n| n as usize);
    let side = |v: &Value| match v.as_array() {
        Some(pair) if pair.len() == 2 => Some((size(&pair[0])?, size(&pair[1])?)),
        Some(_) => None,
        None => size(v).map(|n| (n, n)),
    };
    let sides: Option<[(usize, usize); AXES]> = match value.as_array() {
        Some(list) if list.len() == AXES => {
            list.iter().map(side).collect::<Option<Vec<_>>>().and_then(|list| list.try_into().ok())
        }
        _ => side(&value).map(|pair| [pair; AXES]),
    };
    sides.ok_or_else(|| {
        let rule = format!("`{key}` must be a number, or a pair for each axis");
        Error::model(config.class(), rule, value.to_string(), "")
    })
}

/// As [`sides_from_json`] reads it.
pub(super) fn sides_to_json<const AXES: usize>(sides: &[(usize, usize); AXES]) -> Value {
    let pairs: Vec<Value> = sides.iter().map(|&(before, after)| json!([before, after])).collect();
    if let [pair] = &pairs[..] { pair.clone() } else { Value::Array(pairs) }
}

impl<const AXES: usize> Layer for ZeroPadding<AXES> {
    fn class_name(&self) -> &'static str {
        Self::class()
    }

    fn config(&self) -> Map<String, Value> {
        let mut map = Map::from_iter([
            ("padding".into(), sides_to_json(&self.padding)),
            ("data_format".into(), json!("channels_last")),
        ]);
        match self.mode {
            PadMode::Constant(0.0) => None,
            PadMode::Constant(value) => map.insert("mode".into(), number(value)),
            PadMode::Replicate => map.insert("mode".into(), json!("replicate")),
            PadMode::Reflect => map.insert("mode".into(), json!("reflect")),
        };
        map
    }

    fn build(&self, input: &Shape, _builder: &mut Builder) -> Result<Shape> {
        super::require_axes(Self::class(), AXES, input)?;
        let mut sizes = input.to_vec();
        for (size, &(before, after)) in sizes.iter_mut().zip(&self.padding) {
            if self.mode == PadMode::Reflect && (before >= *size || after >= *size) {
                return Err(Error::shape(
                    Self::class(),
                    "reflected padding must be smaller than the axis",
                    format!("({before}, {after}) for {size}"),
                    "",
                ));
            }
            *size = size.saturating_add(before).saturating_add(after);
        }
        Shape::new(&sizes)
    }

    fn forward(&self, x: &Var, _ctx: &Context<'_>) -> Result<Var> {
        x.pad(&self.pads(), self.mode)
    }

    fn is_per_sample(&self) -> bool {
        true
    }
}
