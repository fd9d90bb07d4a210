//! How a layer's output lies on the page: maps of rows and columns, one for each channel.

use striate::tensor::Shape;

/// Rows, columns and channels of one sample's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// Maps.
    pub channels: usize,
    /// Whether it has no positions: one row of numbers.
    pub is_vector: bool,
}

/// One number of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The row.
    pub y: usize,
    /// The column.
    pub x: usize,
    /// The channel.
    pub channel: usize,
}

impl Layout {
    /// The layout of an output with a batch of one: a vector is one row, time series are one row a channel, the slices of volumes
    /// lie below one another.
    pub fn of(shape: &Shape) -> Layout {
        match shape.as_slice() {
            [_, width] => Layout { height: 1, width: *width, channels: 1, is_vector: true },
            [_, rows @ .., width, channels] => {
                Layout { height: rows.iter().product(), width: *width, channels: *channels, is_vector: false }
            }
            _ => Layout { height: 1, width: 1, channels: 1, is_vector: true },
        }
    }

    /// Where a cell's number stands; none if there is no such cell.
    pub fn index(&self, cell: Cell) -> Option<usize> {
        let inside = cell.y < self.height && cell.x < self.width && cell.channel < self.channels;
        inside.then(|| (cell.y * self.width + cell.x) * self.channels + cell.channel)
    }

    /// The cell of the number that stands there.
    pub fn cell(&self, index: usize) -> Cell {
        let position = index / self.channels;
        Cell { y: position / self.width, x: position % self.width, channel: index % self.channels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_indices_are_inverse() {
        for sizes in [&[1, 5][..], &[1, 7, 3], &[1, 4, 6, 2], &[1, 2, 3, 4, 5]] {
            let shape = Shape::new(sizes).unwrap();
            let layout = Layout::of(&shape);
            for index in 0..shape.elements() {
                assert_eq!(layout.index(layout.cell(index)), Some(index), "{shape}");
            }
            assert_eq!(layout.index(Cell { y: layout.height, x: 0, channel: 0 }), None);
        }
    }
}
