//! The assertions of scripts.

use std::collections::BTreeMap;

use transom_drill::code::Program;
use transom_drill::script::{Code, Place};

/// Runs a block that begins in line 10.
fn run(program: &mut Program, text: &str) -> Result<(), String> {
    let code = Code {
        place: Place {
            line: 10,
            column: 8,
        },
        text: text.into(),
    };
    let snapshot: BTreeMap<String, i64> = [
        ("tcpi_snd_cwnd".to_owned(), 10),
        ("tcpi_rtt".to_owned(), 15_000),
        ("TCP_ESTABLISHED".to_owned(), 1),
    ]
    .into();
    program
        .run(&code, &snapshot)
        .map_err(|failure| failure.to_string())
}

fn check(text: &str) -> Result<(), String> {
    run(&mut Program::new("a.pkt"), text)
}

#[test]
fn what_holds_holds_as_in_python() {
    for text in [
        " assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd ",
        "assert 5000 <= tcpi_rtt <= 20000, 'rtt=%d' % tcpi_rtt",
        "assert (0x18 & 8) != 0 and not 0x18 & 4",
        "assert 7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2 and 7 / 2 == 3.5",
        "assert 1 + 2 * 3 == 7 and 2 ** 3 ** 2 == 512 and -2 ** 2 == -4",
        "assert 1 << 4 | 1 == 17 and 6 ^ 3 == 5 and ~0 == -1 and 0xff >> 4 == 15",
        "assert 1 < 2 < 3 and not 1 < 3 < 2",
        "assert (1 if tcpi_rtt > 1 else 2) == 1",
        "assert 'a' + 'b' == \"ab\" and 'x%03d%%%s' % (7, 'y') == 'x007%y'",
        "assert max(1, 3, 2) == 3 and min((4, 2)) == 2 and abs(-3) == 3",
        "assert int(3.9) == 3 and len('abc') == 3 and hex(255) == '0xff'",
        "assert True and not None and 0 == False",
        "cwnd = 8; cwnd += 2; assert tcpi_snd_cwnd == cwnd",
        "cwnd = 1\ncwnd <<= 3 # eight\nassert cwnd == 8",
        "assert tcpi_rtt == 15000; \\\n   assert tcpi_snd_cwnd == 10",
        "assert (tcpi_rtt ==\n 15000)",
        "if tcpi_snd_cwnd > 5: x = 1\nelse: x = 2\nassert x == 1",
        "if tcpi_snd_cwnd > 50:\n  x = 1\nelif tcpi_snd_cwnd > 5:\n  x = 2\n  y = 3\nelse:\n  x = 4\nassert x == 2 and y == 3",
        "\n    assert 1\n    assert 2\n",
        "",
        "  # nothing",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn what_does_not_hold_says_where_and_why() {
    let cases = [
        (
            "assert tcpi_snd_cwnd ==  9, 'cwnd=%d' % tcpi_snd_cwnd",
            "a.pkt:10: assert tcpi_snd_cwnd == 9: does not hold; tcpi_snd_cwnd is 10: cwnd=10",
        ),
        (
            "x = 1\nassert x == 2",
            "a.pkt:11: assert x == 2: does not hold; x is 1",
        ),
        ("\n\nassert 0", "a.pkt:12: assert 0: does not hold"),
        (
            "assert tcpi_lost == 0",
            "a.pkt:10: `tcpi_lost` is not defined",
        ),
        ("x += 1", "a.pkt:10: `x` is not defined"),
        ("assert 1 // 0", "a.pkt:10: division by zero"),
        (
            "assert 'a' < 1",
            "a.pkt:10: `<` does not compare text and an integer",
        ),
        (
            "assert (1",
            "a.pkt:10: found the end of the line, expected `,` or `)`",
        ),
        (
            "assert 1 == ",
            "a.pkt:10: found the end of the line, expected a value",
        ),
        (
            "for x in y: pass",
            "a.pkt:10: found `x`, expected `;` or the end of the line",
        ),
        ("x = open('f')", "a.pkt:10: there is no function `open`"),
        (
            "x = 2 ** 200",
            "a.pkt:10: 2 ** 200 has no value of 127 bits",
        ),
        (
            "x = 'a' - 1",
            "a.pkt:10: `-` does not take text and an integer",
        ),
        ("x = '%d' % 'a'", "a.pkt:10: `%d` does not take text"),
        (
            "x = '%d' % (1, 2)",
            "a.pkt:10: there are more values than places to fill in",
        ),
        ("x = $", "a.pkt:10: `$` has no meaning here"),
        (
            "if 1:\nassert 1",
            "a.pkt:11: found `assert`, expected a statement further right",
        ),
    ];
    for (text, failure) in cases {
        assert_eq!(check(text).unwrap_err(), failure, "{text}");
    }
    let deep = format!("x = {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(check(&deep).unwrap_err().contains("nested deeper"));
    let deep = format!("x = {}1", "not ".repeat(5000));
    assert!(check(&deep).unwrap_err().contains("nested deeper"));
}

#[test]
fn blocks_share_names_and_what_they_print() {
    let mut program = Program::new("a.pkt");
    run(
        &mut program,
        "cwnd = tcpi_snd_cwnd; print(cwnd, 'segments')",
    )
    .unwrap();
    run(&mut program, "cwnd += 1; print(cwnd, 1.0, True)").unwrap();
    assert_eq!(program.printed(), "10 segments\n11 1.0 True\n");
}
