use super::*;

fn parse(text: &str) -> Impairment {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    text.parse::<Impairment>().expect_err(text).to_string()
}

#[test]
fn every_setting_is_understood() {
    let text = "loss=1%,delay=20ms,jitter=5ms,reorder=2%,duplicate=1%,corrupt=0.1%,\
                rate=10mbit,queue=64k,mtu=1400,seed=7";
    let impairment = parse(text);
    assert_eq!(impairment.loss, Loss::Random(Probability::percent(1)));
    assert_eq!(impairment.delay, Duration::from_millis(20));
    assert_eq!(impairment.jitter, Duration::from_millis(5));
    assert_eq!(impairment.reorder, Probability::percent(2));
    assert_eq!(impairment.reorder_by, None);
    assert_eq!(impairment.corrupt, Probability::from_parts(100_000));
    assert_eq!(impairment.rate, Some(10_000_000));
    assert_eq!(impairment.queue, Some(Queue::Bytes(65_536)));
    assert_eq!(impairment.mtu, Some(1400));
    assert_eq!(impairment.seed, 7);
    assert_eq!(impairment.to_string(), text);
}

#[test]
fn other_spellings_mean_the_same() {
    assert_eq!(parse("loss=0.01"), parse("loss=1%"));
    assert_eq!(
        parse(" delay = 1.5ms , seed = 1 "),
        parse("delay=1500us,seed=1")
    );
    assert_eq!(
        parse("loss=gilbert:1%:25%"),
        parse("loss=gilbert:1%:25%:0%:100%")
    );
    assert_eq!(parse("none"), Impairment::new());
    assert_eq!(Impairment::new().to_string(), "none");
    assert_eq!(parse("queue=100p").queue, Some(Queue::Packets(100)));
    assert_eq!(parse("rate=1.5gbit").rate, Some(1_500_000_000));
    assert_eq!(parse("loss=list:3+7").loss, Loss::List(vec![3, 7]));
}

#[test]
fn errors_name_the_word_and_its_place() {
    assert_eq!(
        error("loss=1%,dely=20ms"),
        "at character 9: \"dely\" is not a setting; did you mean delay? There are: loss, \
         delay, jitter, reorder, duplicate, corrupt, rate, queue, mtu, aqm, ecn, police, slot, \
         thin, outage, seed"
    );
    assert_eq!(
        error("delay=20"),
        "at character 7: \"20\" is not a time with its unit (ns, us, ms, s), as 20ms"
    );
    assert_eq!(
        error("loss=101%"),
        "at character 6: \"101%\" is more than 100%"
    );
    assert_eq!(
        error("loss"),
        "at character 1: \"loss\" lacks a value: loss=…"
    );
    assert_eq!(
        error("loss=1%,loss=2%"),
        "at character 9: \"loss\" is set twice"
    );
    assert_eq!(
        error("rate=0bit"),
        "at character 6: \"0bit\" lets nothing through; for that say loss=100%"
    );
    assert!(error("loss=list:3+x").starts_with("at character 13: \"x\""));
    assert!(error("").starts_with("at character 1: \"\" is empty"));
    assert!(error("ü=1,delay=20").starts_with("at character 1: \"ü\""));
    assert!(error("seed=ü,x=1").starts_with("at character 6: \"ü\""));
    assert!(error("seed=+1").contains("whole number"));
    for text in [
        "delay=1e3ms",
        "loss=-1%",
        "loss=%",
        "mtu=0",
        "loss=nth:0",
        "delay=.s",
        "a,b",
    ] {
        assert!(text.parse::<Impairment>().is_err(), "{text}");
    }
}
