use super::expr::{Member, Pattern, Relation};
use super::field::Kind;
use super::value::{Value, read};
use super::*;
use proptest::prelude::*;

fn reprinted(source: &str) -> String {
    match Filter::parse(source) {
        Ok(filter) => filter.to_string(),
        Err(error) => error.explain(source),
    }
}

#[test]
fn a_filter_is_printed_in_one_canonical_form() {
    let cases = [
        ("tcp.port==11699", "tcp.port == 11699"),
        ("tcp.port eq 0x50", "tcp.port == 80"),
        ("tcp.port in {80 443}", "tcp.port in {80, 443}"),
        (
            "tcp.port not in {80, 8000..8010}",
            "not tcp.port in {80, 8000..8010}",
        ),
        (
            "!tcp.flags.syn==1&&tcp.len>1.5KiB",
            "not tcp.flags.syn == 1 and tcp.len > 1536",
        ),
        ("a.b or tcp", "a.b or tcp\n^^^ there is no field «a.b»"),
        ("tcp or ip and ipv6 xor icmp", "tcp or ip and ipv6 xor icmp"),
        ("(tcp or ip) and ipv6", "(tcp or ip) and ipv6"),
        ("((tcp))", "tcp"),
        ("not (tcp or ip)", "not (tcp or ip)"),
        ("ip.addr != 10.0.0.0/8", "ip.addr != 10.0.0.0/8"),
        ("any ip.addr != 10.0.0.1", "ip.addr !== 10.0.0.1"),
        ("all tcp.port > 1024", "all tcp.port > 1024"),
        ("tcp.flags & 0x12 == 2", "tcp.flags & 0x12 == 2"),
        ("tcp.flags bitwise_and 18", "tcp.flags & 0x12"),
        ("state == close_wait", "state == CLOSE-WAIT"),
        ("duration > 1.5min", "duration > 90"),
        ("frame.time_relative<=200ms", "frame.time_relative <= 0.2"),
        ("finding == refused", "finding == \"refused\""),
        ("host matches '^web'", "host matches \"^web\""),
        ("severity >= note", "severity >= note"),
        ("ipv6.addr == 2001:db8::/32", "ipv6.addr == 2001:db8::/32"),
        (
            "tcp.payload contains \"a\\\"\\u{9}\"",
            "tcp.payload contains \"a\\\"\\u{9}\"",
        ),
    ];
    for (source, printed) in cases {
        assert_eq!(reprinted(source), printed, "{source}");
    }
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let cases = [
        (
            "",
            "the filter ends where a field such as tcp.port is expected",
        ),
        (
            "tcp.port ==",
            "the filter ends where a whole number is expected",
        ),
        (
            "tcp.port == eighty",
            "tcp.port expects a whole number, not «eighty»",
        ),
        ("tcp.port == tcp.srcport", "two fields cannot be compared"),
        ("tcp.flags.rst == 1", "did you mean tcp.flags.reset?"),
        ("retransmissions > 3", "did you mean retrans?"),
        ("(tcp", "this parenthesis is never closed"),
        ("tcp)", "this parenthesis was never opened"),
        ("tcp.port in {80, 443", "this set is never closed"),
        (
            "tcp.port in {443..80}",
            "a range goes from the smaller value to the greater",
        ),
        (
            "tcp.port == 80 tcp.port == 81",
            "expected «and» or «or», or the end instead of «tcp.port»",
        ),
        ("ip.addr == ::1", "an IPv6 address is in ipv6.addr"),
        ("ip.addr == example.com", "for a name write host == \"…\""),
        ("ip.addr == 10.0.0.0/33", "at most 32"),
        ("state == TIME-WIAT", "did you mean TIME-WAIT?"),
        ("state > CLOSED", "has no order"),
        ("closed_by == nobody", "it knows client, server"),
        ("finding == refuesd", "did you mean refused?"),
        ("conn_state == SFF", "did you mean SF?"),
        ("tcp.port contains \"8\"", "tcp.port is no text"),
        ("tcp.analysis.keep_alive == 1", "it has no value"),
        (
            "http.host == \"a\"",
            "protocols above TCP are not dissected",
        ),
        ("udp.port == 53", "only TCP and the IP below it are read"),
        (
            "tcp[13] == 2",
            "there is no field «tcp[13]»; parts of fields",
        ),
        ("host matches \"(\"", "no regular expression"),
        ("host == \"abc", "this quotation mark is never closed"),
        ("tcp.port == 80 §", "«§» means nothing here"),
    ];
    for (source, part) in cases {
        let printed = reprinted(source);
        assert!(printed.contains(part), "{source}: {printed}");
        assert!(printed.contains('^'), "{source}: {printed}");
    }
    let nested = "(".repeat(10_000) + "tcp";
    assert!(reprinted(&nested).contains("more than 64 deep"));
    let many: Vec<String> = (0..9).map(|n| format!("retrans > {n}")).collect();
    assert!(reprinted(&many.join(" or ")).contains("at most 8 different"));
    assert!(Filter::parse(&"tcp or ".repeat(5000)).is_err());
}

#[test]
fn a_flag_alone_is_remarked_on() {
    let remarks = |source: &str| Filter::parse(source).map(|filter| filter.remarks().len());
    assert_eq!(remarks("tcp.flags.reset"), Ok(1));
    assert_eq!(remarks("tcp.flags.reset == 1"), Ok(0));
    assert_eq!(remarks("tcp.analysis.retransmission"), Ok(0));
}

/// A word that the parser takes as a value of this kind.
fn value(kind: Kind) -> BoxedStrategy<Value> {
    let words: BoxedStrategy<String> = match kind {
        Kind::Presence => Just(String::new()).boxed(),
        Kind::Number | Kind::Size => any::<u64>().prop_map(|n| n.to_string()).boxed(),
        Kind::Bool => prop_oneof![Just("0".into()), Just("1".into())].boxed(),
        Kind::Duration => (any::<u32>(), 0_u32..1_000_000_000)
            .prop_map(|(s, n)| format!("{s}.{n:09}"))
            .boxed(),
        Kind::V4 => (any::<[u8; 4]>(), 0_u8..=32)
            .prop_map(|(a, len)| format!("{}/{len}", std::net::Ipv4Addr::from(a)))
            .boxed(),
        Kind::V6 | Kind::Address => (any::<[u8; 16]>(), 0_u8..=128)
            .prop_map(|(a, len)| format!("{}/{len}", std::net::Ipv6Addr::from(a)))
            .boxed(),
        Kind::Text | Kind::Octets => any::<String>().boxed(),
        Kind::Word(words) => proptest::sample::select(words).prop_map(Into::into).boxed(),
        Kind::State => proptest::sample::select(&transom_tcp::State::ALL[..])
            .prop_map(|state| state.name().into())
            .boxed(),
        Kind::Severity => Just("note".into()).boxed(),
    };
    words
        .prop_filter_map("no such value", move |word| read(kind, &word).ok())
        .boxed()
}

fn operator(field: &'static Field) -> BoxedStrategy<Op> {
    if field.kind == Kind::Presence {
        return Just(Op::Present).boxed();
    }
    let equality = prop_oneof![Just(Relation::Equal), Just(Relation::NotEqual)];
    let order = prop_oneof![
        Just(Relation::Less),
        Just(Relation::LessOrEqual),
        Just(Relation::Greater),
        Just(Relation::GreaterOrEqual),
    ];
    let is_number = matches!(field.kind, Kind::Number | Kind::Size);
    let mask = if is_number {
        proptest::option::of(any::<u64>()).boxed()
    } else {
        Just(None).boxed()
    };
    let mut all = vec![
        Just(Op::Present).boxed(),
        (mask, equality, value(field.kind))
            .prop_map(|(mask, relation, value)| Op::Compare(mask, relation, value))
            .boxed(),
        proptest::collection::vec(value(field.kind), 1..4)
            .prop_map(|values| Op::In(values.into_iter().map(Member::One).collect()))
            .boxed(),
    ];
    if field.kind.is_ordered() {
        all.push(
            (order, value(field.kind))
                .prop_map(|(relation, value)| Op::Compare(None, relation, value))
                .boxed(),
        );
    }
    if is_number {
        all.push(any::<u64>().prop_map(Op::Masked).boxed());
        all.push(
            (any::<u64>(), any::<u64>())
                .prop_map(|(a, b)| {
                    let end = |n: u64| Value::Simple(value::Simple::Number(n));
                    Op::In(vec![Member::Range(end(a.min(b)), end(a.max(b)))])
                })
                .boxed(),
        );
    }
    if matches!(field.kind, Kind::Text | Kind::Octets | Kind::Word(_)) {
        all.push(any::<String>().prop_map(Op::Contains).boxed());
        all.push(
            "[a-z0-9 .\"]{0,8}"
                .prop_filter_map("no regular expression", |source| {
                    let regex = regex_lite::Regex::new(&source).ok()?;
                    Some(Op::Matches(Pattern { source, regex }))
                })
                .boxed(),
        );
    }
    proptest::strategy::Union::new(all).boxed()
}

fn expr() -> impl Strategy<Value = Expr> {
    let test = (proptest::sample::select(FIELDS), any::<bool>())
        .prop_filter_map("no field", |(field, all)| {
            Some((Field::named(field.name)?, all))
        })
        .prop_flat_map(|(field, all)| {
            operator(field).prop_map(move |op| Expr::Test(Test { field, all, op }))
        });
    test.prop_recursive(4, 24, 3, |inner| {
        let members = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            members().prop_map(Expr::Or),
            members().prop_map(Expr::Xor),
            members().prop_map(Expr::And),
            inner.clone().prop_map(|member| Expr::Not(Box::new(member))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_reading_gives_the_same_filter(expr in expr()) {
        let printed = expr.to_string();
        match parse::parse(&printed) {
            Ok(read) => prop_assert_eq!(read, expr, "{}", printed),
            Err(error) => prop_assert!(false, "{}", error.explain(&printed)),
        }
    }

    #[test]
    fn any_text_is_a_filter_or_an_error_that_can_be_shown(source in ".{0,80}") {
        let _ = reprinted(&source);
    }

    #[test]
    fn any_words_are_a_filter_or_an_error_that_can_be_shown(
        words in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(FIELDS).prop_map(|field| field.name.to_owned()),
                "(and|or|not|xor|any|all|in|contains|matches|==|!=|<|>=|[&(){},.]|\\.\\.|[0-9]{1,3}|\"a\"|::1|10\\.0\\.0\\.1/8)",
            ],
            0..12,
        )
    ) {
        let source = words.join(" ");
        if let Ok(filter) = Filter::parse(&source) {
            let again = Filter::parse(&filter.to_string());
            prop_assert_eq!(again, Ok(filter));
        }
    }

    #[test]
    fn any_packet_can_be_asked_anything(
        expr in expr(),
        packet in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let source = expr.to_string();
        if let Ok(filter) = Filter::parse(&source) {
            let subject = Subject { frame: &packet, packet: &packet, ..Subject::default() };
            let hits = filter.frame(&subject);
            if !filter.needs_connection() {
                prop_assert!(hits == Hits::ALWAYS || hits.is_never());
            }
        }
    }
}
