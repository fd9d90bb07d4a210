//! What the option methods of several layers have in common.

/// Methods that set one option each and hand the layer on.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => |$value:ident| $set:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $value: $type) -> Self {
                self.$name = $set;
                self
            }
        )*
    };
}

pub(crate) use setters;
