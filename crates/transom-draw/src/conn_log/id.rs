//! Identifiers of a connection that other programs compute alike (community id) or that only have
//! to be the same each time (uid).

use std::net::{IpAddr, SocketAddr};

/// Protocol number of TCP.
const TCP: u8 = 6;

/// The community id, version 1: the same for both directions, and for every program that knows the
/// addresses and ports. `seed` tells apart networks that use the same addresses; by convention 0.
pub(crate) fn community_id(client: SocketAddr, server: SocketAddr, seed: u16) -> String {
    let (low, high) = if octets(client) <= octets(server) {
        (client, server)
    } else {
        (server, client)
    };
    let mut message = seed.to_be_bytes().to_vec();
    message.extend(octets(low).0);
    message.extend(octets(high).0);
    message.extend([TCP, 0]);
    message.extend(low.port().to_be_bytes());
    message.extend(high.port().to_be_bytes());
    format!("1:{}", base64(&sha1(&message)))
}

/// An identifier in the form of Zeek's: `C` and 96 bits in base 62, of the addresses, the ports and
/// the start. The same connection has the same one each time.
pub(crate) fn uid(client: SocketAddr, server: SocketAddr, start_ns: u128) -> String {
    let mut message = octets(client).0;
    message.extend(octets(server).0);
    message.extend(client.port().to_be_bytes());
    message.extend(server.port().to_be_bytes());
    message.extend(start_ns.to_be_bytes());
    let digest = sha1(&message);
    let bits = digest
        .iter()
        .take(12)
        .fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    format!("C{}", base62(bits))
}

fn octets(address: SocketAddr) -> (Vec<u8>, u16) {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    (octets, address.port())
}

fn base62(mut number: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut text = Vec::new();
    loop {
        let digit = usize::try_from(number % 62).unwrap_or(0);
        text.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        number /= 62;
        if number == 0 {
            return text.into_iter().rev().collect();
        }
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let octet = |at: usize| usize::from(group.get(at).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for at in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * at) & 63).copied();
            let is_padding = at > group.len();
            text.push(char::from(digit.filter(|_| !is_padding).unwrap_or(b'=')));
        }
    }
    text
}

/// SHA-1 (RFC 3174), which the community id prescribes. Nothing here is secret, and collisions made
/// on purpose would only give two connections one name.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = u64::try_from(message.len()).unwrap_or(0).wrapping_mul(8);
    padded.extend(bits.to_be_bytes());
    let mut h: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    for block in padded.chunks_exact(64) {
        sha1_block(&mut h, block);
    }
    let mut digest = [0; 20];
    for (octet, byte) in digest
        .iter_mut()
        .zip(h.into_iter().flat_map(u32::to_be_bytes))
    {
        *octet = byte;
    }
    digest
}

/// RFC 3174 §6.1, method 1, with the message schedule in a ring of sixteen words.
fn sha1_block(h: &mut [u32; 5], block: &[u8]) {
    let mut w: [u32; 16] = [0; 16];
    for (word, octets) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = octets
            .iter()
            .fold(0, |word, octet| word << 8 | u32::from(*octet));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *h;
    for t in 0..80u32 {
        let [first, ..] = w;
        let (f, k) = match t {
            0..20 => (b & c | !b & d, 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a
            .rotate_left(5)
            .wrapping_add(f)
            .wrapping_add(e)
            .wrapping_add(first)
            .wrapping_add(k);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        // W(t+16) = S^1(W(t+13) XOR W(t+8) XOR W(t+2) XOR W(t)).
        let [w0, _, w2, _, _, _, _, _, w8, _, _, _, _, w13, _, _] = w;
        w.rotate_left(1);
        let [.., last] = &mut w;
        *last = (w0 ^ w2 ^ w8 ^ w13).rotate_left(1);
    }
    for (sum, word) in h.iter_mut().zip([a, b, c, d, e]) {
        *sum = sum.wrapping_add(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sha1_of_the_examples_of_rfc_3174() {
        assert_eq!(
            hex(&sha1(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(&sha1(
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
            )),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        );
        assert_eq!(
            hex(&sha1(&b"01234567".repeat(80))),
            "dea356a2cddd90c7a7ecedc5ebb563934f460452"
        );
        assert_eq!(hex(&sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }

    #[test]
    fn base64_of_the_examples_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn community_ids_are_those_that_others_compute() {
        for (a, b, id) in [
            (
                "128.232.110.120:34855",
                "66.35.250.204:80",
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "141.142.228.5:59856",
                "192.150.187.43:80",
                "1:yvyB8h+3dnggTZW0UEITWCst97w=",
            ),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(community_id(a, b, 0), id);
            assert_eq!(community_id(b, a, 0), id, "either direction");
            assert_ne!(community_id(a, b, 1), id);
        }
    }

    #[test]
    fn a_uid_is_of_the_connection_and_its_start() {
        let (a, b) = ("[2001:db8::1]:40000", "[2001:db8::2]:443");
        let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
        let first = uid(a, b, 1);
        assert_eq!(first, uid(a, b, 1));
        assert_ne!(first, uid(a, b, 2));
        assert_ne!(first, uid(b, a, 1));
        assert!(first.starts_with('C') && first.len() <= 18, "{first}");
        assert!(first.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_eq!(base62(0), "0");
        assert_eq!(base62(61), "Z");
        assert_eq!(base62(62), "10");
    }
}
