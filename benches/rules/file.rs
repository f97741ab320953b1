//! Rules as people write them, in any number.

use std::fmt::Write as _;

const COUNTRIES: [&str; 12] =
    ["Germany", "France", "Spain", "Italy", "Poland", "Norway", "Canada", "Brazil", "Japan", "India", "Kenya", "Chile"];
const INDUSTRIES: [&str; 8] =
    ["Software", "Banking", "Insurance", "Retail", "Logistics", "Energy", "Hospitality", "Machinery Manufacturing"];

/// Of every ten routes: five for a customer's domain with more beside it, one for a handful of domains, and one each for
/// a kind of failure, for a country and an industry, for a campaign and for a kind of company. The
/// first routes are for `muster.example`, the domain of the sample.
pub fn routes_yaml(count: usize) -> String {
    let mut text = "source: { path: /webhooks/wiza, api_keys: [bench-key] }\ndestinations:\n".to_owned();
    for name in ["crm", "slack", "warehouse"] {
        writeln!(text, "  {name}: {{ url: 'http://127.0.0.1:9/{name}' }}").expect("memory");
    }
    text.push_str("routes:\n");
    for number in 0..count {
        let (when, to) = route(number);
        writeln!(text, "  - name: rule {number}\n    when: '{when}'\n    to: [{to}]").expect("memory");
    }
    text
}

fn route(number: usize) -> (String, &'static str) {
    let customer = |number: usize| if number < 10 { "muster.example".to_owned() } else { format!("customer-{number}.example") };
    let of = |list: &[&'static str]| list[number / 10 % list.len()];
    match number % 10 {
        0 => (format!(r#"type == "individual_reveal" and status.code == 400 and data.fail_error == "error {number}""#), "slack"),
        1 | 2 => (format!(r#"data.company_domain == "{}" and data.email_status == "valid""#, customer(number)), "crm"),
        3 => (format!(r#"type == "individual_reveal" and data.company_domain == "{}""#, customer(number)), "crm"),
        4 => (format!(r#""{}" == data.company_domain and data.emails[?@.email_type == "work"]"#, customer(number)), "crm"),
        5 => (
            format!(
                r#"data.company_domain == "{}" or data.company_linkedin == "https://www.linkedin.com/company/customer-{number}""#,
                customer(number)
            ),
            "crm",
        ),
        6 => {
            let list: Vec<String> = (number..number + 5).map(|number| format!("\"partner-{number}.example\"")).collect();
            (format!("data.company_domain in [{}] and data.company_size > 100", list.join(", ")), "crm")
        }
        7 => (
            format!(
                r#"data.company_country == "{}" and data.company_industry == "{}" and data.email_status == "valid" and data.title == "title {number}""#,
                of(&COUNTRIES),
                INDUSTRIES[number / 120 % INDUSTRIES.len()]
            ),
            "slack",
        ),
        8 => (format!(r#"event.query.campaign == "campaign {number}" and data.email_status in ["valid", "risky"]"#), "warehouse"),
        _ => (
            format!(
                r#"data.company_type == "kind {}" and not (data.email_status == "unfound") and search(data.title, "Chief")"#,
                number % 1000
            ),
            "warehouse",
        ),
    }
}
