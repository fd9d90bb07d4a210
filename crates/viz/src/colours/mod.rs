//! Numbers as colours.

mod maps;

/// How a number from 0 to 1 becomes a colour. All of these keep their order for colour-blind readers and in grey print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColourMap {
    /// From violet over green to yellow: Matplotlib's default.
    #[default]
    Viridis,
    /// From black over red to yellow.
    Inferno,
    /// From black to white.
    Grey,
}

impl ColourMap {
    /// The colour of a value; below 0 and above 1 that of the end, and of no number black.
    ///
    /// ```
    /// use striate_viz::ColourMap;
    /// assert_eq!(ColourMap::Viridis.colour(0.0), [68, 1, 84]);
    /// assert_eq!(ColourMap::Viridis.colour(1.0), [253, 231, 37]);
    /// assert_eq!(ColourMap::Grey.colour(0.5), [128; 3]);
    /// ```
    pub fn colour(self, value: f32) -> [u8; 3] {
        // A conversion to an integer saturates, and takes no number for 0.
        let step = (value * 255.0 + 0.5) as u8;
        match self {
            ColourMap::Viridis => maps::VIRIDIS[usize::from(step)],
            ColourMap::Inferno => maps::INFERNO[usize::from(step)],
            ColourMap::Grey => [step; 3],
        }
    }
}

/// Okabe and Ito's colours, which colour-blind readers can tell apart, in the order in which series take them.
pub const SERIES: [[u8; 3]; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [140, 130, 20]];
