//! `egress`: where requests may go. What it means is decided in [`crate::egress`].

use crate::egress::{self, Egress, Entry, Guard};
use crate::transform::Template;

use crate::config::reading::decode::Decoder;
use crate::config::reading::units::Unreadable;
use crate::config::yaml::Node;

/// Entries of one list at most. Each is looked at for each address of each new connection.
pub(in crate::config) const ENTRIES_MAX: usize = 1000;

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Egress> {
    let mut table = decoder.table(node, "`egress`")?;
    let private = table.take("private");
    let allow = table.take("allow");
    let deny = table.take("deny");
    table.finish(decoder);
    let private_denied = match private {
        Some(node) => decoder.read_or(node, "`allow` or `deny`", Some(false), |text| match text {
            "allow" => Ok(false),
            "deny" => Ok(true),
            _ => Err(Unreadable { reason: "is neither `allow` nor `deny`".into(), hint: "`allow`, the default, or `deny`".into() }),
        }),
        None => Some(false),
    };
    let allow = allow.map_or_else(|| Some(Vec::new()), |node| decode_entries(decoder, node));
    let deny = deny.map_or_else(|| Some(Vec::new()), |node| decode_entries(decoder, node));
    Some(Egress { private_denied: private_denied?, allow: allow?, deny: deny? })
}

fn decode_entries(decoder: &mut Decoder<'_>, node: &Node) -> Option<Vec<Entry>> {
    let items = decoder.list(node, "networks and hosts")?;
    if let Some(item) = items.get(ENTRIES_MAX) {
        let finding = decoder.report.error(item.span.clone(), format!("more than {ENTRIES_MAX} entries"));
        finding.hint("write networks in place of single addresses, and `*.example.com` in place of single hosts");
        return None;
    }
    let entries: Vec<_> = items.iter().map(|item| decode_entry(decoder, item)).collect();
    entries.into_iter().flatten().collect()
}

/// `None` inside: something stands in for it, which no rule can be made of.
fn decode_entry(decoder: &mut Decoder<'_>, node: &Node) -> Option<Option<Entry>> {
    let text = decoder.text(node, "a network or a host")?;
    if decoder.unknown_value(&text).is_some() {
        return Some(None);
    }
    let unreadable = |egress::Unreadable { reason, hint }| Unreadable { reason, hint };
    let read = |text: &str| Entry::parse(text).map(Some).map_err(unreadable);
    decoder.read_text(node, &text, "a network or a host", None, read)
}

impl Decoder<'_> {
    /// Reports a URL whose host is one that no request may go to, as far as that can be known before the host is resolved.
    pub(in crate::config) fn refuse_closed_host(&mut self, node: &Node, host: &str, port: u16) -> Option<()> {
        // Which addresses are this machine's own is not known where a file is checked, nor which ports the relay listens on.
        let judged = Guard::new(self.egress.clone(), []).host(host, port, |_| false);
        match judged {
            Ok(()) => Some(()),
            Err(refusal) => {
                let finding = self.report.error(node.span.clone(), format!("no request can go to this host: {refusal}"));
                finding.hint("`egress` says where requests may go; docs/destinations.md has the rules");
                None
            }
        }
    }

    /// The same of a URL as a template, whose host is fixed.
    pub(in crate::config) fn refuse_closed_url(&mut self, node: &Node, template: &Template) -> Option<()> {
        match template.host_and_port() {
            Some((host, port)) => self.refuse_closed_host(node, &host, port),
            None => Some(()),
        }
    }
}
