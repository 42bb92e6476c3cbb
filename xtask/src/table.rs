//! Tables of text.

use std::fmt;

/// Rows under a heading, in aligned columns. Columns after the first stand right where every one of
/// their cells begins with a digit or a dash.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn column(&self, number: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row.get(number).map_or("", String::as_str))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> =
            (0..columns).map(|number| self.column(number).map(width).max().unwrap_or(0)).collect();
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit()) || text == "-";
        let stands_right: Vec<bool> =
            (0..columns).map(|n| n > 0 && self.column(n).skip(1).all(is_number)).collect();
        for (position, row) in self.rows.iter().enumerate() {
            let mut line = String::from(" ");
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&stands_right) {
                let cell =
                    if right { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") };
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
            if position == 0 {
                let rules: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
                writeln!(f, "  {}", rules.join("  "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let mut table = Table::new(&["Mailbox", "Messages", "State"]);
        table.row(vec!["user.erin.Entwürfe".into(), "7".into(), "sound".into()]);
        table.row(vec!["a".into(), "12345678901".into(), "-".into()]);
        let expected = [
            "  Mailbox                Messages  State",
            "  ──────────────────  ───────────  ─────",
            "  user.erin.Entwürfe            7  sound",
            "  a                   12345678901  -",
        ];
        assert_eq!(table.to_string().lines().collect::<Vec<_>>(), expected);
    }
}
