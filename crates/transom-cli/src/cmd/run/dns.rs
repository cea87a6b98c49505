//! DNS for the program: its queries go to the host's name servers, and the answers tell us the
//! names of the addresses that it connects to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::plan::{Addresses, HOST_NAME};

/// Time to live of the name that we answer ourselves, seconds. Short: the address may be another
/// one in the next run.
const TTL: u32 = 5;
/// How long one name server has before the next is asked too. Half of what glibc's resolver
/// gives us, so that the second one's answer still reaches it.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Longest message over UDP.
const LONGEST: usize = 65_535;

/// The answer to a query for the host's own name; None if it asks for anything else.
pub(crate) fn answer_ourselves<'a>(
    query: &[u8],
    inside: impl Iterator<Item = &'a Addresses>,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let [question] = query.queries.as_slice() else {
        return None;
    };
    let name = question.name().to_ascii();
    if !name.trim_end_matches('.').eq_ignore_ascii_case(HOST_NAME) {
        return None;
    }
    let (owner, wanted) = (question.name().clone(), question.query_type());
    let mut answer = query.into_response();
    answer.metadata.response_code = ResponseCode::NoError;
    answer.metadata.authoritative = true;
    answer.metadata.recursion_available = true;
    for addresses in inside {
        let data = match addresses.gateway {
            IpAddr::V4(address) if wanted == RecordType::A => RData::A(A(address)),
            IpAddr::V6(address) if wanted == RecordType::AAAA => RData::AAAA(AAAA(address)),
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(owner.clone(), TTL, data));
    }
    answer.to_vec().ok()
}

/// The addresses that an answer gives for the name that was asked for, without its final dot.
pub(crate) fn names(answer: &[u8]) -> Option<(String, Vec<IpAddr>)> {
    let message = Message::from_vec(answer).ok()?;
    if message.metadata.message_type != MessageType::Response {
        return None;
    }
    let name = message.queries.first()?.name().to_ascii();
    let addresses: Vec<_> = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(A(address)) => Some(IpAddr::V4(*address)),
            RData::AAAA(AAAA(address)) => Some(IpAddr::V6(*address)),
            _ => None,
        })
        .collect();
    let name = name.trim_end_matches('.');
    (!name.is_empty() && !addresses.is_empty()).then(|| (name.to_owned(), addresses))
}

/// Asks the name servers, one after the other, and returns the first answer.
///
/// Errors are those of the last server: `ConnectionRefused` when nobody listens there,
/// `TimedOut` when none answered.
pub(crate) async fn ask(servers: &[SocketAddr], query: &[u8]) -> io::Result<Vec<u8>> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for &server in servers {
        match timeout(PATIENCE, ask_one(server, query)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    // Connected, on a port of its own: only this server's answer is taken, and its refusal heard.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut answer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut answer).await?;
        // The first two bytes are the query's id.
        if length >= 2 && answer.get(..2) == query.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn inside() -> [Addresses; 1] {
        [Addresses {
            program: "10.0.2.100".parse().unwrap(),
            gateway: "10.0.2.2".parse().unwrap(),
            dns: "10.0.2.3".parse().unwrap(),
            prefix_len: 24,
        }]
    }

    #[test]
    fn req_cve_07_names_that_point_at_themselves_or_beyond_the_message_are_no_names() {
        // One question and one answer, and the bytes of both.
        let message = |rest: &[u8]| {
            let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
            bytes.extend_from_slice(rest);
            bytes
        };
        let address = [0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
        let question = [1, b'a', 0, 0, 1, 0, 1];
        let with = |name: &[u8]| message(&[&question[..], name, &address[..]].concat());
        let (name, addresses) = names(&with(&[0xc0, 12])).unwrap();
        assert_eq!((name.as_str(), addresses.len()), ("a", 1));
        for bad in [
            // At itself, at a later pointer, and beyond the end.
            &[0xc0, 19][..],
            &[0xc0, 21, 0xc0, 19],
            &[0xff, 0xff],
            // A label that is longer than what follows, and one of a kind that does not exist.
            &[63, b'x'],
            &[0x80, 0],
        ] {
            assert_eq!(names(&with(bad)), None, "{bad:?}");
        }
        let whole = with(&[0xc0, 12]);
        for len in 0..whole.len() {
            assert_eq!(names(&whole[..len]), None, "{len} bytes");
        }
        // A question that points at itself.
        assert_eq!(names(&message(&[0xc0, 12, 0, 1, 0, 1])), None);
    }

    #[test]
    fn the_hosts_name_is_answered_without_asking_anybody() {
        let query = query("Host.Transom.Internal.", RecordType::A);
        let answer = answer_ourselves(&query, inside().iter()).unwrap();
        assert_eq!(answer[..2], query[..2]);
        let (name, addresses) = names(&answer).unwrap();
        assert_eq!(name.to_ascii_lowercase(), HOST_NAME);
        assert_eq!(addresses, ["10.0.2.2".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn the_hosts_name_has_no_address_of_a_family_that_is_not_there() {
        let answer = answer_ourselves(&query(HOST_NAME, RecordType::AAAA), inside().iter());
        let answer = Message::from_vec(&answer.unwrap()).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.answers.is_empty());
    }

    #[test]
    fn other_names_and_nonsense_are_left_to_the_name_servers() {
        assert_eq!(
            answer_ourselves(&query("example.com", RecordType::A), inside().iter()),
            None
        );
        assert_eq!(answer_ourselves(&[0; 5], inside().iter()), None);
        assert_eq!(names(&query("example.com", RecordType::A)), None);
        assert_eq!(names(b"not dns"), None);
    }
}
