//! Lines of numbers between commas, semicolons, tabs or spaces, with or without a header; cells may be
//! quoted.

use csv_core::ReaderBuilder;
use zeroize::Zeroizing;

use super::{Contents, Problem, check_count};

pub(super) fn parse(bytes: &[u8]) -> Result<Contents, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes
            .iter()
            .take(e.valid_up_to())
            .filter(|b| **b == b'\n')
            .count();
        Problem(format!("line {}: not UTF-8 text", line + 1))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .peekable();
    let between = lines.peek().and_then(|(_, line)| separator(line));
    let mut header = None;
    // A line with a number in it is no header, and whatever else is in it a mistake.
    if let Some((_, line)) = lines.peek() {
        let cells = Cells::of(line, between);
        if cells.iter().all(|c| number(c).is_none()) {
            header = Some(cells);
            lines.next();
        }
    }
    let mut values = Vec::new();
    let mut columns = None;
    let mut rows = 0;
    for (n, line) in lines {
        let before = values.len();
        for (column, cell) in Cells::of(line, between).iter().enumerate() {
            let x = number(cell).ok_or_else(|| {
                let name = header.as_ref().and_then(|h| h.iter().nth(column));
                let name = name.map_or(String::new(), |name| format!(" (`{}`)", short(name)));
                let (column, cell) = (column + 1, short(cell));
                Problem(format!(
                    "line {n}, column {column}{name}: `{cell}` is not a number"
                ))
            })?;
            check_count(values.len() + 1)?;
            values.push(x);
        }
        let found = values.len() - before;
        let expected = *columns.get_or_insert(found);
        if found != expected {
            return Err(Problem(format!(
                "line {n}: {found} columns here, {expected} in those before"
            )));
        }
        rows += 1;
    }
    let shape = vec![rows, columns.unwrap_or(0)];
    Ok(Contents { shape, values })
}

/// What separates the cells, by the first line; `None` for white space.
fn separator(line: &str) -> Option<u8> {
    let mut known = b",;\t".iter().copied();
    known.find(|c| line.as_bytes().contains(c))
}

/// The cells of a line, one after the other, and where each ends.
struct Cells {
    text: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
}

impl Cells {
    fn of(line: &str, between: Option<u8>) -> Self {
        let mut text = Zeroizing::new(vec![0; line.len()]);
        let mut ends = vec![0; line.len() + 1];
        let Some(between) = between else {
            text.clear();
            ends.clear();
            for cell in line.split_whitespace() {
                text.extend(cell.bytes());
                ends.push(text.len());
            }
            return Self { text, ends };
        };
        // No cell is longer than the line, and there is at most one more than it has characters.
        let mut reader = ReaderBuilder::new().delimiter(between).build();
        let (_, _, written, most) = reader.read_record(line.as_bytes(), &mut text, &mut ends);
        let rest = ends.get_mut(most..).unwrap_or_default();
        let end = text.get_mut(written..).unwrap_or_default();
        // The end of the text is the end of the line.
        let (_, _, _, last) = reader.read_record(&[], end, rest);
        ends.truncate(most + last);
        Self { text, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let cell = self.text.get(from..*end).unwrap_or_default();
            from = *end;
            std::str::from_utf8(cell).unwrap_or_default().trim()
        })
    }
}

fn number(cell: &str) -> Option<f64> {
    let unquoted = cell.strip_prefix('"').and_then(|c| c.strip_suffix('"'));
    unquoted.unwrap_or(cell).trim().parse().ok()
}

/// The beginning of a cell, for a message.
fn short(cell: &str) -> String {
    cell.chars().filter(|c| !c.is_control()).take(24).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn headers_and_separators() {
        let read = |text: &str| {
            let read = parse(text.as_bytes()).unwrap();
            (read.shape, read.values)
        };
        let expected = (vec![2, 2], vec![1.0, -2.5, 3e-2, 4.0]);
        for text in [
            "1,-2.5\n3e-2,4\n",
            "a, b\r\n1, -2.5\r\n\r\n 3e-2 , 4\r\n",
            "\u{feff}1;-2.5\n3e-2;4",
            "x\ty\n1\t-2.5\n3e-2\t4",
            "1 -2.5\n 3e-2   4",
            "\"a\",\"b\"\n\"1\",\"-2.5\"\n3e-2,4",
            "\"a, in all\",\"say \"\"b\"\"\"\n\" 1\", \"-2.5\" \n3e-2,4",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read("1\n2\n"), (vec![2, 1], vec![1.0, 2.0]));
        assert!(read("a,b\n").1.is_empty());
        assert!(read("").1.is_empty());
    }

    #[test]
    fn line_and_column_are_named() {
        let fails = |text: &[u8], message: &str| {
            assert_eq!(parse(text).err().unwrap().0, message);
        };
        fails(
            b"age,income\n1,2\n3,x\n",
            "line 3, column 2 (`income`): `x` is not a number",
        );
        fails(
            b"\"age, years\",income\nx,2\n",
            "line 2, column 1 (`age, years`): `x` is not a number",
        );
        fails(
            b"1.2.3,2\n3,4\n",
            "line 1, column 1: `1.2.3` is not a number",
        );
        fails(b"1,2\n3\n", "line 2: 1 columns here, 2 in those before");
        fails(b"1,2\n\n3,\n", "line 3, column 2: `` is not a number");
        fails(b"1\n\xff\n", "line 2: not UTF-8 text");
    }
}
