//! The lengths of the sequences in a proof.
//!
//! nova's verifier indexes into the vectors of a proof without checking how long they are. Their
//! lengths follow from the sizes of the two circuits, so they are compared before it is called.

use serde::{
    Serialize, Serializer,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// Lengths of all sequences of a value, in the order of serialisation.
pub(crate) fn sequence_lengths<T: Serialize>(value: &T) -> Option<Vec<usize>> {
    let mut recorder = Recorder(Vec::new());
    value.serialize(&mut recorder).ok()?;
    Some(recorder.0)
}

/// Lengths of the sequences of a compressed SNARK over circuits of these numbers of constraints
/// and variables.
pub(super) fn expected_lengths(primary: (usize, usize), secondary: (usize, usize)) -> Vec<usize> {
    const PUBLIC_VALUES: usize = 2;
    // Six R1CS instances, five of them before the SNARKs; `zn` comes last.
    let mut lengths = vec![PUBLIC_VALUES; 5];
    for (constraints, variables) in [primary, secondary] {
        let size = constraints.max(variables).next_power_of_two();
        snark_lengths(size.trailing_zeros() as usize, &mut lengths);
    }
    lengths.push(2);
    lengths
}

/// Lengths of the sequences of a SNARK about vectors of `2^log` elements.
fn snark_lengths(log: usize, lengths: &mut Vec<usize>) {
    // A message of degree k has k coefficients, the linear one being left out.
    let mut sumcheck = |rounds: usize, coefficients: usize| {
        lengths.push(rounds);
        lengths.extend(std::iter::repeat_n(coefficients, rounds));
    };
    sumcheck(log, 3);
    sumcheck(log + 1, 2);
    sumcheck(log, 2);
    // Evaluations of W and E.
    lengths.push(2);
    lengths.extend(crate::ipa::lengths(log));
}

struct Recorder(Vec<usize>);

#[derive(Debug)]
struct NoLength;

impl std::fmt::Display for NoLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a sequence without a length")
    }
}

impl std::error::Error for NoLength {}

impl serde::ser::Error for NoLength {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! ignore {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<(), NoLength> {
            Ok(())
        })*
    };
}

impl<'a> Serializer for &'a mut Recorder {
    type Ok = ();
    type Error = NoLength;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    ignore! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_char: char,
        serialize_unit_struct: &'static str,
    }

    fn serialize_str(self, v: &str) -> Result<(), NoLength> {
        self.0.push(v.len());
        Ok(())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<(), NoLength> {
        self.0.push(v.len());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), NoLength> {
        self.0.push(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoLength> {
        self.0.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), NoLength> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), NoLength> {
        self.0.push(index as usize);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NoLength> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), NoLength> {
        self.0.push(index as usize);
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<&'a mut Recorder, NoLength> {
        self.0.push(len.ok_or(NoLength)?);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<&'a mut Recorder, NoLength> {
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<&'a mut Recorder, NoLength> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<&'a mut Recorder, NoLength> {
        self.0.push(index as usize);
        Ok(self)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<&'a mut Recorder, NoLength> {
        self.0.push(len.ok_or(NoLength)?);
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<&'a mut Recorder, NoLength> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<&'a mut Recorder, NoLength> {
        self.0.push(index as usize);
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident),* $(,)?) => {
        $(impl $trait for &mut Recorder {
            type Ok = ();
            type Error = NoLength;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoLength> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), NoLength> {
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

macro_rules! fields {
    ($($trait:ident),* $(,)?) => {
        $(impl $trait for &mut Recorder {
            type Ok = ();
            type Error = NoLength;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), NoLength> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), NoLength> {
                Ok(())
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for &mut Recorder {
    type Ok = ();
    type Error = NoLength;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoLength> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoLength> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), NoLength> {
        Ok(())
    }
}
