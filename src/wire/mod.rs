//! The JSON of the admin API: what requests say and answers hold. The API writes these types, the command line reads them, and the
//! OpenAPI document is derived from them, so that a field has one place. Their names are part of the product's face.

pub mod destinations;
pub mod listing;
pub mod redrive;
pub mod release;
pub mod rules;
