//! A name server for a test: every name is this machine.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};

/// Addresses that are tried, of the many that loopback has.
const TRIES_MAX: usize = 20;
/// Where a query's questions begin: behind the header.
const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

/// Answers until the process ends.
pub struct NameServer {
    pub address: IpAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// `None` where this process may not have the port.
    pub fn start() -> Option<Self> {
        // The port is given, so the address has to differ from that of any other.
        let socket = (0..TRIES_MAX).find_map(|_| {
            let [second, third, fourth] = rand::random();
            UdpSocket::bind((Ipv4Addr::new(127, second, third, fourth), 53)).ok()
        })?;
        let address = socket.local_addr().unwrap().ip();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = Self { address, asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Some((name, answer)) = answer(&buffer[..length]) else { continue };
                asked.lock().unwrap().push(name);
                let _ = socket.send_to(&answer, from);
            }
        });
        Some(server)
    }

    /// The names that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The name in a query, and the reply (RFC 1035, section 4): 127.0.0.1 to whoever asks for an IPv4 address, nothing to others.
fn answer(query: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut labels: Vec<String> = Vec::new();
    let mut place = HEADER;
    loop {
        let length = usize::from(*query.get(place)?);
        place += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(place..place + length)?).into_owned());
        place += length;
    }
    let question = query.get(HEADER..place + 4)?;
    let is_found = query[place..place + 2] == TYPE_A;
    let mut reply = query[..2].to_vec();
    // A reply without an error, recursion included; one question, one answer or none.
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_found), 0, 0, 0, 0]);
    reply.extend(question);
    if is_found {
        // The name of the question, IPv4, Internet, for a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some((labels.join("."), reply))
}
