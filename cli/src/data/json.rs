//! Nested JSON arrays of numbers, read number by number.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Contents, Problem, check_count};

/// Members of an object that hold the numbers, the first of them that is there.
const MEMBERS: [&str; 2] = ["inputs", "input_data"];

pub(super) fn parse(bytes: &[u8]) -> Result<Contents, Problem> {
    let mut found = Found::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let top = Nested {
        found: &mut found,
        top: true,
    };
    top.deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|e| match bytes.windows(3).any(|w| w == b"NaN") {
            true => Problem(format!("{e}; NaN is no number of JSON")),
            false => Problem(e.to_string()),
        })?;
    let shape: Option<Vec<usize>> = found.shape.into_iter().collect();
    Ok(Contents {
        shape: shape.unwrap_or_default(),
        values: found.values,
    })
}

/// What was read so far.
#[derive(Default)]
struct Found {
    values: Vec<f64>,
    /// Length of the arrays of each depth, known when the first one ends.
    shape: Vec<Option<usize>>,
    /// Depth of the numbers.
    leaves: Option<usize>,
    /// Where the next value stands.
    at: Vec<usize>,
}

impl Found {
    fn place(&self) -> String {
        match self.at.as_slice() {
            [] => "the value".to_owned(),
            [only] => format!("entry {}", only + 1),
            [row, .., column] => format!("row {}, column {}", row + 1, column + 1),
        }
    }

    fn number(&mut self, x: f64) -> Result<(), String> {
        let depth = self.at.len();
        if *self.leaves.get_or_insert(depth) != depth {
            return Err(format!("{}: a number among arrays", self.place()));
        }
        check_count(self.values.len() + 1).map_err(|p| p.0)?;
        self.values.push(x);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        let depth = self.at.len();
        if self.leaves.is_some_and(|leaves| depth >= leaves) {
            return Err(format!("{}: an array among numbers", self.place()));
        }
        if self.shape.len() == depth {
            self.shape.push(None);
        }
        self.at.push(0);
        Ok(())
    }

    fn next(&mut self) {
        if let Some(index) = self.at.last_mut() {
            *index += 1;
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let length = self.at.pop().unwrap_or(0);
        match self.shape.get_mut(self.at.len()) {
            Some(Some(expected)) if *expected != length => {
                let row = self.at.first().map_or(0, |row| row + 1);
                Err(format!(
                    "row {row}: {length} entries here, {expected} in those before"
                ))
            }
            Some(known) => {
                *known = Some(length);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A number or an array; at the top an object too.
struct Nested<'a> {
    found: &'a mut Found,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number or an array at {}", self.found.place())
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        self.found.number(x).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, x: u64) -> Result<(), E> {
        self.visit_f64(x as f64)
    }

    fn visit_i64<E: Error>(self, x: i64) -> Result<(), E> {
        self.visit_f64(x as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        self.found.begin().map_err(A::Error::custom)?;
        while array
            .next_element_seed(Nested {
                found: &mut *self.found,
                top: false,
            })?
            .is_some()
        {
            self.found.next();
        }
        self.found.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        if !self.top {
            return Err(A::Error::custom(format!(
                "{}: an object among numbers",
                self.found.place()
            )));
        }
        let mut there = false;
        while let Some(key) = object.next_key::<String>()? {
            if there || !MEMBERS.contains(&key.as_str()) {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            there = true;
            object.next_value_seed(Nested {
                found: &mut *self.found,
                top: false,
            })?;
        }
        match there {
            true => Ok(()),
            false => Err(A::Error::custom(format!(
                "the object has none of the members {}",
                MEMBERS.join(", ")
            ))),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_depth() {
        let read = |text: &str| {
            let read = parse(text.as_bytes()).unwrap();
            (read.shape, read.values)
        };
        assert_eq!(read("[1, -2, 3.5]"), (vec![3], vec![1.0, -2.0, 3.5]));
        assert_eq!(read("[[1],[2]]"), (vec![2, 1], vec![1.0, 2.0]));
        assert_eq!(
            read(r#"{"name": "x", "inputs": [[[1, 2]]], "inputs": 3}"#),
            (vec![1, 1, 2], vec![1.0, 2.0])
        );
        assert_eq!(read("7"), (vec![], vec![7.0]));
        assert_eq!(read("[]"), (vec![0], vec![]));
    }

    #[test]
    fn what_is_refused_is_named() {
        let fails = |text: &str, part: &str| {
            let problem = parse(text.as_bytes()).err().unwrap();
            assert!(problem.0.contains(part), "{problem}");
        };
        fails("[[1, 2], [3]]", "row 2");
        fails("[[1, 2], 3]", "entry 2: a number among arrays");
        fails("[1, [2]]", "entry 2: an array among numbers");
        fails("[[1, \"a\"]]", "row 1, column 2");
        fails("[[1, null]]", "row 1, column 2");
        fails("[{}]", "an object");
        fails("{\"x\": 1}", "inputs, input_data");
        fails("[1, 2", "EOF");
        fails("[[1, NaN]]", "NaN is no number");
        fails("[1] 2", "trailing");
        fails("[1e999]", "out of range");
        fails(&"[".repeat(10_000), "recursion");
    }
}
