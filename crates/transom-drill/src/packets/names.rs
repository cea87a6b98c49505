//! Names of ICMP types and codes, by version of IP.

/// A type: its name, its number, its codes.
struct Kind {
    name: &'static str,
    number: u8,
    codes: &'static [(&'static str, u8)],
}

const fn plain(name: &'static str, number: u8) -> Kind {
    Kind {
        name,
        number,
        codes: &[],
    }
}

/// RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1.
const V4: &[Kind] = &[
    plain("echo_reply", 0),
    Kind {
        name: "unreachable",
        number: 3,
        codes: &[
            ("net_unreachable", 0),
            ("host_unreachable", 1),
            ("protocol_unreachable", 2),
            ("port_unreachable", 3),
            ("frag_needed", 4),
            ("source_route_failed", 5),
            ("net_unknown", 6),
            ("host_unknown", 7),
            ("source_host_isolated", 8),
            ("net_prohibited", 9),
            ("host_prohibited", 10),
            ("net_unreachable_for_tos", 11),
            ("host_unreachable_for_tos", 12),
            ("packet_filtered", 13),
            ("precedence_violation", 14),
            ("precedence_cutoff", 15),
        ],
    },
    plain("source_quench", 4),
    plain("redirect", 5),
    plain("echo_request", 8),
    plain("time_exceeded", 11),
    plain("parameter_problem", 12),
    plain("timestamp_request", 13),
    plain("timestamp_reply", 14),
    plain("information_request", 15),
    plain("information_reply", 16),
    plain("address_mask_request", 17),
    plain("address_mask_reply", 18),
];

/// RFC 4443.
const V6: &[Kind] = &[
    Kind {
        name: "unreachable",
        number: 1,
        codes: &[
            ("no_route", 0),
            ("net_unreachable", 0),
            ("admin_prohibited", 1),
            ("not_neighbour", 2),
            ("address_unreachable", 3),
            ("port_unreachable", 4),
        ],
    },
    plain("packet_too_big", 2),
    Kind {
        name: "time_exceeded",
        number: 3,
        codes: &[("exceeded_hop_limit", 0), ("exceeded_frag_time", 1)],
    },
    Kind {
        name: "parameter_problem",
        number: 4,
        codes: &[
            ("header_field", 0),
            ("unknown_next_header", 1),
            ("unknown_option", 2),
        ],
    },
    plain("echo_request", 128),
    plain("echo_reply", 129),
];

const fn kinds(ipv6: bool) -> &'static [Kind] {
    if ipv6 { V6 } else { V4 }
}

/// The number of a type's name, also of `type_N`.
pub(super) fn kind_number(ipv6: bool, name: &str) -> Option<u8> {
    if let Some(number) = name.strip_prefix("type_") {
        return number.parse().ok();
    }
    let kind = kinds(ipv6).iter().find(|kind| kind.name == name)?;
    Some(kind.number)
}

/// The number of a code's name, also of `code_N`.
pub(super) fn code_number(ipv6: bool, kind: u8, name: &str) -> Option<u8> {
    if let Some(number) = name.strip_prefix("code_") {
        return number.parse().ok();
    }
    let kind = kinds(ipv6).iter().find(|known| known.number == kind)?;
    let (_, code) = kind.codes.iter().find(|(known, _)| *known == name)?;
    Some(*code)
}

/// The name of a type.
pub(super) fn kind_name(ipv6: bool, number: u8) -> String {
    let kind = kinds(ipv6).iter().find(|kind| kind.number == number);
    kind.map_or_else(|| format!("type_{number}"), |kind| kind.name.into())
}

/// The name of a code; none for 0 of a type whose codes have no names.
pub(super) fn code_name(ipv6: bool, kind: u8, number: u8) -> Option<String> {
    let codes = kinds(ipv6)
        .iter()
        .find(|known| known.number == kind)
        .map_or(&[][..], |kind| kind.codes);
    let code = codes.iter().find(|(_, code)| *code == number);
    match code {
        Some((name, _)) => Some((*name).into()),
        None if number == 0 => None,
        None => Some(format!("code_{number}")),
    }
}
