//! The kernels' own sources, which are part of the program.

/// A file of kernels: what is compiled as one.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The file's name without ending.
    pub name: &'static str,
    text: &'static str,
    /// Other files it stands on.
    before: &'static [&'static str],
}

impl Source {
    /// The whole text, with what it stands on in front.
    pub fn text(&self) -> String {
        let mut whole = String::from(PRELUDE);
        self.before.iter().for_each(|text| whole.push_str(text));
        // The compiler's messages then count the lines of the file itself.
        whole.push_str("#line 1\n");
        whole.push_str(self.text);
        whole
    }
}

const PRELUDE: &str = include_str!("kernels/prelude.cuh");
const FUNCTIONS: &str = include_str!("kernels/functions.cuh");
const HALF: &str = include_str!("kernels/half.cuh");

/// Every file of kernels.
pub const SOURCES: &[Source] = &[
    Source { name: "memory", text: include_str!("kernels/memory.cu"), before: &[HALF] },
    Source { name: "layout", text: include_str!("kernels/layout.cu"), before: &[] },
    Source { name: "elementwise", text: include_str!("kernels/elementwise.cu"), before: &[FUNCTIONS] },
    Source { name: "reduce", text: include_str!("kernels/reduce.cu"), before: &[] },
    Source { name: "product", text: include_str!("kernels/product.cu"), before: &[FUNCTIONS, HALF] },
    // The same kernels once more, with factors rounded when they are read: float32 pays nothing for that.
    Source {
        name: "product_narrow",
        text: include_str!("kernels/product.cu"),
        before: &[FUNCTIONS, "#define ROUNDING\n", HALF],
    },
    Source { name: "pool", text: include_str!("kernels/pool.cu"), before: &[] },
    Source { name: "picture", text: include_str!("kernels/picture.cu"), before: &[] },
    Source { name: "softmax", text: include_str!("kernels/softmax.cu"), before: &[] },
    Source { name: "update", text: include_str!("kernels/update.cu"), before: &[] },
];
