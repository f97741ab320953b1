//! Templates: strings of routes.yaml with `{{ }}`, compiled once while a file loads.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use jiff::Timestamp;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};
use url::Url;

use crate::condition::Compared;
use crate::text::{Part, Text};

use super::failure;
use super::origin::Origin;
use super::source::{self, Constant, Source};
use super::vocabulary::Vocabulary;
use crate::transform::errors::{RenderError, TemplateError};
use crate::transform::expression::lexer;
use crate::transform::filters;
use crate::transform::foresight::prints::{Format, Print};
use crate::transform::foresight::reads::{Names, ReadPath};
use crate::transform::limits::{
    BATCH_FUEL_MAX, BATCH_TEXT_BYTES_MAX, RENDERED_BYTES_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_FUEL_MAX,
};
use crate::transform::marks::RESERVED_PREFIX;
use crate::transform::names::context::{self, RenderContext};
use crate::transform::names::scope::Scope;
use crate::transform::request::{address, header};
use crate::transform::semantics::printing::{self, URL_ESCAPING};
use crate::transform::semantics::{builtins, comparing, functions, questions};

/// The work that the trial of a `{{ }}` may cost that reads nothing of an event. What takes more is not judged.
const TRIAL_FUEL_MAX: u64 = 2_000;

/// The compiled templates of one file, and what they share. Built while the file loads, then only read.
pub struct Templates {
    environment: Environment<'static>,
    /// Those of batches' bodies, which may cost more.
    of_batches: Environment<'static>,
    /// The same without templates, where little work is granted.
    trials: Environment<'static>,
    templates: usize,
    values: usize,
}

impl Templates {
    /// No templates yet.
    pub fn new() -> Self {
        Self {
            environment: environment(TEMPLATE_FUEL_MAX),
            of_batches: environment(BATCH_FUEL_MAX),
            trials: environment(TRIAL_FUEL_MAX),
            templates: 0,
            values: 0,
        }
    }

    /// Refuses a `{{ }}` that fails on every event: it reads nothing of one, and fails without any.
    fn try_constants(&self, constants: &[Constant], bound: &[String], escape: Escape, scope: Scope) -> Result<(), TemplateError> {
        // What the template itself defines would be unknown here.
        if !bound.is_empty() {
            return Ok(());
        }
        let name = if escape == Escape::Url { URL_ESCAPING } else { "text" };
        for Constant { offset, written, source } in constants {
            let place = if scope.in_each { context::place(0, 1) } else { Value::UNDEFINED };
            let now = filters::now(Timestamp::UNIX_EPOCH);
            let names = minijinja::context! { event => minijinja::context! {}, now => now, loop => place };
            let tried = self.trials.render_named_str(name, source, names);
            if let Err(error) = tried
                && error.kind() != ErrorKind::OutOfFuel
            {
                return Err(failure::on_trial(&error, *offset, written));
            }
        }
        Ok(())
    }

    fn render(&self, name: &str, scope: Scope, origin: &Origin, reads: &[ReadPath], names: Value) -> Result<String, RenderError> {
        let (environment, limits) = match scope.of_batch {
            true => (&self.of_batches, failure::Limits { fuel: BATCH_FUEL_MAX, bytes: BATCH_TEXT_BYTES_MAX, of: "batch" }),
            false => (&self.environment, failure::Limits { fuel: TEMPLATE_FUEL_MAX, bytes: RENDERED_BYTES_MAX, of: "event" }),
        };
        let rendered = environment.get_template(name).and_then(|template| template.render(&names));
        let text = rendered.map_err(|error| failure::while_rendering(&error, origin, reads, &names, limits))?;
        if text.len() > limits.bytes {
            return Err(RenderError::new(format!("the text would be longer than {} bytes", limits.bytes)));
        }
        Ok(text)
    }

    fn environment_of(&mut self, scope: Scope) -> &mut Environment<'static> {
        if scope.of_batch { &mut self.of_batches } else { &mut self.environment }
    }
}

/// An environment by the relay's rules.
fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    // Strict, but for `if`, `and`, `or`, `not`, where what is absent counts as no, as null does: `{% if data.name %}` is
    // how one asks whether there is a name.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_reload(false);
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(TEMPLATE_DEPTH_MAX);
    // Makes errors name what is undefined.
    environment.set_debug(true);
    // It would print every name that a template sees, secrets included.
    environment.remove_global("debug");
    // With it a loop could nest lists in lists until printing or dropping them overflows the stack.
    environment.remove_global("namespace");
    environment.set_auto_escape_callback(|name| {
        if name.starts_with(URL_ESCAPING) { AutoEscape::Custom(URL_ESCAPING.into()) } else { AutoEscape::None }
    });
    printing::install(&mut environment);
    filters::install(&mut environment);
    comparing::install(&mut environment);
    questions::install(&mut environment);
    builtins::install(&mut environment);
    functions::install(&mut environment);
    environment
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("templates", &self.templates).finish_non_exhaustive()
    }
}

/// What a template is for, which decides how printed values are written and what is checked when the file loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Text: values as they are.
    None,
    /// A URL: printed values are percent-encoded, everything but RFC 3986's unreserved characters; `| safe` opts out.
    Url,
    /// A header's value: as they are, but a control character is an error (no header can be injected).
    Header,
    /// Of `$value`: one `{{ }}`, whose value is written as JSON and so keeps its type.
    Typed,
}

/// A string of routes.yaml, ready to render. Shown as it was written, with `${NAME}` in place of values.
pub struct Template {
    form: Form,
    masked: String,
    holds_value: bool,
    reads: Vec<ReadPath>,
    prints: Vec<Print>,
    hazards: Vec<ReadPath>,
    compared: Vec<Compared>,
}

/// What a template was found to read.
#[derive(Default)]
struct Found {
    reads: Vec<ReadPath>,
    prints: Vec<Print>,
    hazards: Vec<ReadPath>,
    compared: Vec<Compared>,
}

enum Form {
    /// A text without tags.
    Literal(String),
    LiteralUrl(String, Box<Url>),
    LiteralHeader(String, HeaderValue),
    Compiled {
        /// Its name in the environment.
        name: String,
        scope: Scope,
        origin: Origin,
        /// Where it must lead, for a URL.
        base: Option<Box<address::Base>>,
    },
}

impl Template {
    /// Whether it renders to the same for every event.
    pub fn is_literal(&self) -> bool {
        !matches!(self.form, Form::Compiled { .. })
    }

    /// Compiles a text. A text without tags costs nothing to render; a literal URL or header value is read here, once.
    ///
    /// # Errors
    /// What can never render: a syntax error, an unknown filter, test or function, a `{{ }}` that reads nothing of an
    /// event and fails, a `${...}` inside a tag, a URL whose host a value could change, a literal that is not a URL or
    /// not a header's value.
    pub fn compile(templates: &mut Templates, text: &Text, escape: Escape) -> Result<Self, TemplateError> {
        Self::compile_within(templates, text, escape, Scope::default())
    }

    /// The same of a text that stands where other names are known than those of an event.
    ///
    /// # Errors
    /// As [`Template::compile`]. In a batch's body also a name that is not known there; of `$value` a text that is not one `{{ }}`.
    pub fn compile_within(templates: &mut Templates, text: &Text, escape: Escape, scope: Scope) -> Result<Self, TemplateError> {
        let holds_value = text.parts.iter().any(|part| matches!(part, Part::Value(_)));
        if escape == Escape::Header {
            header::check_values(text)?;
        }
        let mut found = Found::default();
        if escape == Escape::Typed {
            is_one_value(text)?;
        }
        let form = if source::has_tags(text) {
            Self::compile_tags(templates, text, escape, scope, &mut found)?
        } else {
            let literal = text.expose();
            match escape {
                Escape::None | Escape::Typed => Form::Literal(literal),
                Escape::Url => {
                    let url = Box::new(address::literal(&literal)?);
                    Form::LiteralUrl(literal, url)
                }
                Escape::Header => {
                    let value = header::literal(text, holds_value)?;
                    Form::LiteralHeader(literal, value)
                }
            }
        };
        let Found { reads, prints, hazards, compared } = found;
        Ok(Self { form, masked: text.masked(), holds_value, reads, prints, hazards, compared })
    }

    fn compile_tags(
        templates: &mut Templates,
        text: &Text,
        escape: Escape,
        scope: Scope,
        found: &mut Found,
    ) -> Result<Form, TemplateError> {
        if text.masked().len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::new(0, format!("the template is longer than {TEMPLATE_BYTES_MAX} bytes")));
        }
        let Source { text: source, origin, values, mentions, bound, reads, constants, hazards, asks, unreadable, prints, head, head_end } =
            source::read(text, templates.values, escape == Escape::Typed, scope)?;
        let base = match escape {
            Escape::Url => Some(Box::new(address::base(&head, head_end)?)),
            Escape::None | Escape::Header | Escape::Typed => None,
        };
        let kind = if escape == Escape::Url { URL_ESCAPING } else { "text" };
        let name = format!("{kind}{}", templates.templates);
        templates
            .environment_of(scope)
            .add_template_owned(name.clone(), source.clone())
            .map_err(|error| failure::while_compiling(&error, &source, &origin))?;
        if let Some(offset) = unreadable {
            let error = TemplateError::new(offset, "this is not an expression of Jinja that the relay can read");
            return Err(error.hint("put what a filter gives in parentheses before you go on: `(data.emails | first).email`"));
        }
        Vocabulary::new(&templates.environment).check(&mentions, &bound)?;
        templates.try_constants(&constants, &bound, escape, scope)?;
        (found.reads, found.compared) = asks.finish(reads, &bound);
        scope.check(&found.reads)?;
        if scope.of_batch {
            found.compared.clear(); // They are values of the members' bodies, of which nothing is known.
        }
        found.hazards = Names::new(&bound, Vec::new()).paths(hazards.found());
        match escape {
            Escape::None => found.prints = prints.finish(),
            // It is JSON by itself, but what reads a text of it may still read markup.
            Escape::Typed => found.prints = prints.finish().into_iter().filter(|print| print.format != Format::Json).collect(),
            Escape::Url | Escape::Header => {}
        }
        templates.templates += 1;
        for value in values {
            let global = format!("{RESERVED_PREFIX}value_{}", templates.values);
            templates.environment_of(scope).add_global(global, Value::from_safe_string(value));
            templates.values += 1;
        }
        Ok(Form::Compiled { name, scope, origin, base })
    }

    /// Renders the template.
    ///
    /// # Errors
    /// A name that this event does not have, a null printed, a limit exceeded; see [`RenderError`].
    pub fn render(&self, templates: &Templates, context: &RenderContext) -> Result<Cow<'_, str>, RenderError> {
        self.text(templates, || context.names())
    }

    /// Of a URL: the host and the port that every event goes to.
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        let url = match &self.form {
            Form::LiteralUrl(_, url) => url,
            Form::Compiled { base: Some(base), .. } => base.url(),
            Form::Literal(_) | Form::LiteralHeader(..) | Form::Compiled { base: None, .. } => return None,
        };
        Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
    }

    /// The paths of the event that it reads.
    pub fn reads(&self) -> &[ReadPath] {
        &self.reads
    }

    /// The values that it prints into a text without an escape for what may read it.
    pub fn prints(&self) -> &[Print] {
        &self.prints
    }

    /// The paths of the event that it prints, or works with, without a way out for when they are null or absent.
    pub fn hazards(&self) -> &[ReadPath] {
        &self.hazards
    }

    /// The values that it compares the event's with.
    pub fn compared(&self) -> &[Compared] {
        &self.compared
    }

    /// The template as it was written, with `${NAME}` in place of values.
    pub fn masked(&self) -> &str {
        &self.masked
    }

    pub(in crate::transform) fn text(&self, templates: &Templates, names: impl FnOnce() -> Value) -> Result<Cow<'_, str>, RenderError> {
        match &self.form {
            Form::Literal(text) | Form::LiteralUrl(text, _) | Form::LiteralHeader(text, _) => Ok(Cow::Borrowed(text)),
            Form::Compiled { name, scope, origin, .. } => templates.render(name, *scope, origin, &self.reads, names()).map(Cow::Owned),
        }
    }

    pub(in crate::transform) fn url(&self, templates: &Templates, names: impl FnOnce() -> Value) -> Result<Url, RenderError> {
        match &self.form {
            Form::LiteralUrl(_, url) => Ok(url.as_ref().clone()),
            Form::Compiled { name, scope, origin, base: Some(base) } => {
                address::rendered(base, &templates.render(name, *scope, origin, &self.reads, names())?)
            }
            Form::Literal(_) | Form::LiteralHeader(..) | Form::Compiled { base: None, .. } => {
                Err(RenderError::new("this template was not compiled as a URL"))
            }
        }
    }

    pub(in crate::transform) fn header(&self, templates: &Templates, names: impl FnOnce() -> Value) -> Result<HeaderValue, RenderError> {
        match &self.form {
            Form::LiteralHeader(_, value) => Ok(value.clone()),
            _ => header::value(&self.text(templates, names)?, self.holds_value),
        }
    }
}

/// Refuses a `$value` that is more than one `{{ }}`, or none.
fn is_one_value(text: &Text) -> Result<(), TemplateError> {
    let written = text.plain().map(str::trim).unwrap_or_default();
    let tag = written.strip_prefix("{{").and_then(|_| lexer::read_tag(written, 2, "}}").ok()?);
    if tag.is_some_and(|tag| tag.end == written.len() && !tag.tokens.is_empty()) {
        return Ok(());
    }
    Err(TemplateError::new(0, "`$value` is one `{{ }}`, whose value keeps its type, and nothing beside it")
        .hint("for example `{ $value: \"{{ data.company_size > 1000 }}\" }`; a text is written without `$value`"))
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.masked)
    }
}
