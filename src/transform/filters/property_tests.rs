//! What holds for any value: what reads the format gets the value back, and nothing beside it.

use proptest::prelude::*;
use quick_xml::events::Event as Xml;
use serde_json::json;

use crate::transform::tests::templates::{context_of, text};
use crate::transform::{Escape, Template, Templates};

fn rendered(written: &str, value: &str) -> String {
    let mut templates = Templates::new();
    let template = Template::compile(&mut templates, &text(written), Escape::None).unwrap();
    template.render(&templates, &context_of(&json!({ "x": value }))).unwrap().into_owned()
}

/// Texts in which what these formats give a meaning to is common.
fn values() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        prop::sample::select(vec![
            "<!channel>",
            "<https://e.example|x>",
            "<@U1>",
            "&lt;",
            "&",
            ";",
            "=",
            "+",
            "-",
            "@",
            "@everyone",
            "@here",
            "\t",
            "\r",
            "\n",
            "\"",
            "'",
            ",",
            "<",
            ">",
            "]]>",
            "<!--",
            "<?",
            "</a>",
            "%26",
            "&role=admin",
            " ",
            "\\",
            "\\\\",
            "[a](b)",
            "**",
            "`",
            "://",
            "\u{0}",
            "\u{feff}",
            "\u{ff1d}",
            "{{ x }}",
            "\u{85}",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[a-z0-9 ]{0,4}",
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

/// As Slack documents it, for texts.
fn shown_by_slack(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

proptest! {
    #[test]
    fn slack_shows_the_value_and_finds_no_mention_or_link(value in values()) {
        let text = rendered("<b>{{ x | slack }}</b>", &value);
        let inside = text.strip_prefix("<b>").unwrap().strip_suffix("</b>").unwrap();
        prop_assert!(!inside.contains(['<', '>']), "{}", inside);
        prop_assert_eq!(shown_by_slack(inside), value);
    }

    #[test]
    fn discord_shows_the_value_and_finds_no_mention_or_markdown(value in values()) {
        let text = rendered("{{ x | discord }}", &value);
        let mut shown = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\\' => shown.push(rest.next().unwrap()),
                '*' | '_' | '~' | '`' | '|' | '<' | '>' | '#' | '[' | ']' | '(' | ')' | ':' | '/' => prop_assert!(false, "a bare {}", character),
                _ => shown.push(character),
            }
        }
        for mention in ["@everyone", "@here"] {
            prop_assert!(!text.contains(mention), "{}", text);
        }
        let visible = |text: &str| text.replace('\u{200b}', "");
        prop_assert_eq!(visible(&shown), visible(&value));
    }

    #[test]
    fn a_form_has_the_value_and_no_other_field(value in values()) {
        let form = rendered("name={{ x | form }}&role=user", &value);
        let fields: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        prop_assert_eq!(fields, vec![("name".to_owned(), value), ("role".to_owned(), "user".to_owned())]);
    }

    #[test]
    fn a_row_has_the_value_and_no_other_cell_and_no_formula(value in values()) {
        let row = rendered("{{ x | csv }},{{ [x, 1] | csv }},{{ x | csv(formulas=true) }}", &value);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!((records.len(), records[0].len()), (1, 4));
        prop_assert_eq!((&records[0][0], &records[0][2], &records[0][3]), (&records[0][1], "1", value.as_str()));
        let cell = &records[0][0];
        let calculated = |text: &str| text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}']) || text.starts_with(['\t', '\r']);
        prop_assert!(!calculated(cell), "{:?}", cell);
        let meant = if cell.starts_with('\'') && !value.starts_with('\'') { &cell[1..] } else { cell };
        prop_assert_eq!(meant, value.as_str());
    }

    #[test]
    fn xml_has_the_value_as_text_and_as_attribute_and_nothing_else(value in values()) {
        let xml = rendered("<p a=\"{{ x | xml }}\" b='{{ x | xml }}'>{{ x | xml }}</p>", &value);
        let expected = value.replace(|c: char| c < ' ' && !"\t\n\r".contains(c) || matches!(c, '\u{fffe}' | '\u{ffff}'), "\u{fffd}");
        let mut reader = quick_xml::Reader::from_str(&xml);
        let mut content = String::new();
        loop {
            match reader.read_event().unwrap() {
                Xml::Start(start) => {
                    prop_assert!(start.name().as_ref() == "p");
                    let attributes: Vec<_> = start.attributes().map(Result::unwrap).collect();
                    prop_assert_eq!(attributes.len(), 2);
                    for attribute in attributes {
                        let raw = attribute.value.clone().into_owned();
                        prop_assert_eq!(quick_xml::escape::unescape(&raw).unwrap(), expected.as_str());
                    }
                }
                Xml::Text(text) => content.push_str(&text),
                Xml::GeneralRef(reference) => content.push_str(&format!("&{};", &*reference)),
                Xml::End(_) => {}
                Xml::Eof => break,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(quick_xml::escape::unescape(&content).unwrap(), expected.as_str());
    }

    #[test]
    fn a_text_that_is_truncated_fits(value in values(), longest in 3_usize..40) {
        let text = rendered(&format!("{{{{ x | truncate({longest}) }}}}"), &value);
        prop_assert!(text.chars().count() <= longest);
        let fits = value.chars().count() <= longest;
        prop_assert_eq!(fits, text == value, "{:?}", text);
        prop_assert!(fits || value.starts_with(text.strip_suffix("...").unwrap()));
    }
}
