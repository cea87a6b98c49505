//! A random world as a value, made of a seed.

use std::fmt;
use std::time::Duration;

use transom_sim::{
    Aqm, Impairment, Loss, Marking, Outage, Policer, Probability, Queue, Random, TooBig,
};
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{Config, EcnUse, KeepAlive, Linger, MtuProbing};

use super::application::{Ending, Script};
use super::orphans;

/// A host of a scenario.
#[derive(Clone, Debug)]
pub(super) struct HostPlan {
    pub(super) config: Config,
    pub(super) mtu: usize,
}

/// A connection of a scenario.
#[derive(Clone, Debug)]
pub(super) struct ConnectionPlan {
    /// Indices of hosts.
    pub(super) client: usize,
    pub(super) server: usize,
    pub(super) opens: Duration,
    /// What the client does, and the server.
    pub(super) scripts: [Script; 2],
    /// The client sends an octet less than it should.
    pub(super) stops_short: bool,
}

/// A random world: hosts on the left and on the right of two routers, or two hosts on one wire.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) seed: u64,
    pub(super) v6: bool,
    /// Even ones are on the left.
    pub(super) hosts: Vec<HostPlan>,
    /// Without routers the two hosts are on the wire itself.
    pub(super) routers: bool,
    pub(super) path: [Impairment; 2],
    pub(super) access: Vec<Impairment>,
    pub(super) mtu_changes: Vec<(Duration, usize, TooBig)>,
    pub(super) connections: Vec<ConnectionPlan>,
    /// Something in it lets TCP give a connection up.
    pub(super) is_harsh: bool,
}

impl Scenario {
    /// The world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Maker {
            random: Random::stream(seed, 0x776f_726c),
            is_harsh: false,
        }
        .scenario(seed)
    }

    /// The same world, in which clients send one octet less than the servers expect: it must be found wrong
    /// wherever a server hears its client out.
    #[must_use]
    pub fn stop_short(mut self) -> Self {
        for connection in &mut self.connections {
            connection.stops_short = true;
        }
        self
    }

    /// By when all is over on a path on which nobody may give up: the time that the octets need, times
    /// thirty, and what the applications rest, and ten minutes for handshakes and timeouts.
    pub(super) fn bound(&self) -> Duration {
        let octets: u64 = self
            .connections
            .iter()
            .flat_map(|connection| &connection.scripts)
            .map(|script| script.bytes + 10_000)
            .sum();
        let rate = path_rate(&self.path).min(5_000_000);
        let needs = Duration::from_millis(octets * 8 * 1000 / rate.max(1));
        let rests: Duration = self
            .connections
            .iter()
            .flat_map(|connection| &connection.scripts)
            .map(|script| {
                script.rest
                    + script
                        .pauses
                        .iter()
                        .map(|(_, length)| *length)
                        .sum::<Duration>()
            })
            .sum();
        needs * 30 + rests + Duration::from_secs(600)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_harsh { "harsh" } else { "gentle" };
        let ip = if self.v6 { "IPv6" } else { "IPv4" };
        let via = if self.routers {
            "two routers"
        } else {
            "one wire"
        };
        writeln!(
            f,
            "seed {}: {kind}, {ip}, {} hosts, {via}",
            self.seed,
            self.hosts.len()
        )?;
        writeln!(f, "  there  {}", self.path[0])?;
        writeln!(f, "  back   {}", self.path[1])?;
        for (at, mtu, too_big) in &self.mtu_changes {
            writeln!(f, "  at {at:?} the path's MTU is {mtu}, {too_big:?}")?;
        }
        for (number, (host, access)) in self.hosts.iter().zip(&self.access).enumerate() {
            writeln!(
                f,
                "  host {number}: mtu {}, access {access}, {:?}",
                host.mtu, host.config
            )?;
        }
        for (number, connection) in self.connections.iter().enumerate() {
            let (client, server) = (connection.client, connection.server);
            writeln!(
                f,
                "  connection {number}: {client} to {server} at {:?}",
                connection.opens
            )?;
            for (end, script) in ["client", "server"].iter().zip(&connection.scripts) {
                writeln!(f, "    {end}: {script:?}")?;
            }
        }
        Ok(())
    }
}

/// Draws a scenario.
struct Maker {
    random: Random,
    is_harsh: bool,
}

impl Maker {
    /// Once in `n`.
    fn one_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.random.below(most - least + 1)
    }

    fn micros(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.between(least, most))
    }

    /// Up to so many hundredths of a percent.
    fn share(&mut self, most: u32) -> Probability {
        let parts = self.between(1, u64::from(most) * 10_000);
        Probability::from_parts(u32::try_from(parts).unwrap_or(0))
    }

    fn scenario(mut self, seed: u64) -> Scenario {
        let routers = self.one_in(2);
        let pairs = if routers { self.between(1, 3) } else { 1 };
        let count = usize::try_from(pairs).unwrap_or(1) * 2;
        let may_be_harsh = self.one_in(3);
        let v6 = self.one_in(3);
        let hosts: Vec<HostPlan> = (0..count).map(|_| self.host(may_be_harsh, v6)).collect();
        let path = [
            self.path(seed ^ 1, may_be_harsh),
            self.path(seed ^ 2, may_be_harsh),
        ];
        let access = (0..count)
            .map(|host| {
                let delay = self.micros(0, 10_000);
                Impairment::new()
                    .delay(delay)
                    .seed(seed ^ (3 + host as u64))
            })
            .collect();
        let mtu_changes = if routers && self.one_in(3) {
            self.mtu_changes(&hosts, v6)
        } else {
            Vec::new()
        };
        let connections: Vec<ConnectionPlan> = (0..self.between(1, 4))
            .map(|_| self.connection(count, may_be_harsh, path_rate(&path)))
            .collect();
        self.is_harsh |= connections
            .iter()
            .any(|connection| orphans::may_give_up(connection, &hosts, &path));
        Scenario {
            seed,
            v6,
            hosts,
            routers,
            path,
            access,
            mtu_changes,
            connections,
            is_harsh: self.is_harsh,
        }
    }

    fn host(&mut self, may_be_harsh: bool, v6: bool) -> HostPlan {
        let mut config = Config::default()
            .sack(!self.one_in(5))
            .rack(!self.one_in(5))
            .tail_loss_probe(!self.one_in(5))
            .timestamps(!self.one_in(4))
            .window_scaling(!self.one_in(5))
            .nodelay(self.one_in(2))
            .restart_after_idle(!self.one_in(4))
            .mtu_probing(self.mtu_probing());
        let algorithm = self.random.below(Algorithm::ALL.len() as u64);
        if let Some(algorithm) = Algorithm::ALL.get(algorithm as usize) {
            config = config.congestion(*algorithm);
        }
        if self.one_in(2) {
            config = config.recv_buffer(self.between(2000, 300_000) as usize);
        }
        if self.one_in(3) {
            config = config.send_buffer(self.between(2000, 300_000) as usize);
        }
        if self.one_in(6) {
            config = config.unsent_limit(Some(self.between(3000, 50_000) as usize));
        }
        if self.one_in(4) {
            config = config.ecn(if self.one_in(3) {
                EcnUse::Off
            } else {
                EcnUse::Request
            });
        }
        if self.one_in(6) {
            config = config.max_segment(Some(self.between(200, 1400) as u16));
        }
        if self.one_in(4) {
            config = config.delayed_ack(Duration::from_millis(self.between(1, 200)));
        }
        if self.one_in(4) {
            config = config.time_wait(Duration::from_secs(self.between(1, 240)));
        }
        if self.one_in(4) {
            config = config.initial_window_segs(self.between(1, 40) as u32);
        }
        if self.one_in(3) {
            config = config.keep_alive(Some(self.keep_alive()));
        }
        if may_be_harsh && self.one_in(6) {
            config = config.user_timeout(Some(Duration::from_secs(self.between(1, 300))));
            self.is_harsh = true;
        }
        if may_be_harsh && self.one_in(6) {
            config = config.linger(if self.one_in(2) {
                Linger::Reset
            } else {
                Linger::Limit(Duration::from_secs(self.between(0, 60)))
            });
            self.is_harsh = true;
        }
        let least = if v6 { 1280 } else { 576 };
        let mtu = match self.random.below(4) {
            0 => self.between(least, 1500),
            1 => self.between(1500, 9000),
            _ => 1500,
        };
        HostPlan {
            config,
            mtu: mtu as usize,
        }
    }

    fn keep_alive(&mut self) -> KeepAlive {
        KeepAlive {
            idle: Duration::from_secs(self.between(1, 120)),
            // Nine of them outlast the longest outage of a gentle world.
            interval: Duration::from_secs(self.between(3, 30)),
            probes: 9,
        }
    }

    fn path(&mut self, seed: u64, may_be_harsh: bool) -> Impairment {
        let mut link = Impairment::new().seed(seed).delay(self.micros(0, 150_000));
        if self.one_in(2) {
            link = link.loss(Loss::Random(self.share(500)));
        } else if self.one_in(4) {
            link = link.loss(Loss::GilbertElliott {
                to_bad: self.share(300),
                to_good: Probability::percent(self.between(75, 95) as u32),
                good: Probability::NEVER,
                bad: Probability::ALWAYS,
            });
        }
        if self.one_in(3) {
            link = link
                .reorder(self.share(2000))
                .reorder_by(self.micros(0, 100_000));
            link = link.reorder_run(self.between(0, 8) as u32);
        }
        if self.one_in(4) {
            link = link.duplicate(self.share(1000));
        }
        if self.one_in(4) {
            link = link.corrupt(self.share(100));
        }
        if self.one_in(3) {
            link = link.jitter(self.micros(0, 50_000));
        }
        if self.one_in(2) {
            link = self.queued(link);
        }
        if self.one_in(6) {
            link = link.slot(self.micros(100, 40_000));
        }
        if self.one_in(6) {
            link = link.thin(true);
        }
        if self.one_in(12) {
            link = link.police(Policer {
                rate: self.between(500_000, 50_000_000),
                burst: self.between(30_000, 200_000),
            });
        }
        self.outages(link, may_be_harsh)
    }

    fn queued(&mut self, link: Impairment) -> Impairment {
        let mut link = link.rate(match self.random.below(3) {
            0 => self.between(64_000, 1_000_000),
            1 => self.between(1_000_000, 20_000_000),
            _ => self.between(20_000_000, 1_000_000_000),
        });
        link = link.queue(match self.random.below(3) {
            0 => Queue::Packets(self.between(4, 300)),
            1 => Queue::Bytes(self.between(20_000, 500_000)),
            _ => Queue::Time(self.micros(20_000, 500_000)),
        });
        if self.one_in(3) {
            link = link.aqm(Aqm::CODEL);
        }
        match self.random.below(4) {
            0 => link.ecn(Marking::Instead),
            1 => link.ecn(Marking::Above(Queue::Packets(self.between(2, 30)))),
            _ => link,
        }
    }

    fn outages(&mut self, link: Impairment, may_be_harsh: bool) -> Impairment {
        match self.random.below(12) {
            0 | 1 => {
                let every = self.one_in(2).then(|| self.micros(60_000_000, 200_000_000));
                link.outage(Outage {
                    at: self.micros(0, 20_000_000),
                    length: self.micros(1000, 15_000_000),
                    every,
                })
            }
            // The other side is gone for ever.
            2 if may_be_harsh => {
                self.is_harsh = true;
                link.outage(Outage {
                    at: self.micros(0, 20_000_000),
                    length: Duration::from_secs(1_000_000),
                    every: None,
                })
            }
            3 if may_be_harsh => {
                self.is_harsh = true;
                let lost = self.between(5, 40) as u32;
                link.loss(Loss::Random(Probability::percent(lost)))
            }
            _ => link,
        }
    }

    fn mtu_probing(&mut self) -> MtuProbing {
        match self.between(0, 5) {
            0 => MtuProbing::Always,
            1 => MtuProbing::BlackHole,
            _ => MtuProbing::Off,
        }
    }

    fn mtu_changes(&mut self, hosts: &[HostPlan], v6: bool) -> Vec<(Duration, usize, TooBig)> {
        let all_look = hosts
            .iter()
            .all(|host| host.config.mtu_probing != MtuProbing::Off);
        (0..self.between(1, 3))
            .map(|_| {
                let too_big = if all_look && self.one_in(2) {
                    TooBig::Silent
                } else {
                    TooBig::Announce
                };
                // A black hole below what the search begins with is not found.
                let least = match (v6, too_big) {
                    (true, _) => 1280,
                    (false, TooBig::Silent) => 1024,
                    (false, TooBig::Announce) => 600,
                };
                let mtu = self.between(least, 1500) as usize;
                (self.micros(0, 10_000_000), mtu, too_big)
            })
            .collect()
    }

    fn connection(&mut self, hosts: usize, may_be_harsh: bool, rate: u64) -> ConnectionPlan {
        // From one side to the other: an even number and an odd one.
        let left = self.random.below(hosts as u64 / 2) as usize * 2;
        let right = self.random.below(hosts as u64 / 2) as usize * 2 + 1;
        let (client, server) = if self.one_in(2) {
            (left, right)
        } else {
            (right, left)
        };
        let mut scripts = [
            self.script(may_be_harsh, rate),
            self.script(may_be_harsh, rate),
        ];
        // If each waited for the other, neither would ever end.
        if scripts[0].ending == Ending::AfterPeer && scripts[1].ending == Ending::AfterPeer {
            scripts[0].ending = Ending::HalfClose;
        }
        ConnectionPlan {
            client,
            server,
            opens: self.micros(0, 5_000_000),
            scripts,
            stops_short: false,
        }
    }

    fn script(&mut self, may_be_harsh: bool, rate: u64) -> Script {
        // Half a minute's worth at most; what loses much carries little.
        let most = (rate.min(50_000_000) * 4).clamp(20_000, 2_000_000);
        let most = if self.is_harsh { 20_000 } else { most };
        let bytes = match self.random.below(5) {
            0 => 0,
            1 => self.between(1, 2000),
            2 | 3 => self.between(1, most / 10),
            _ => self.between(1, most),
        };
        let pauses = if bytes > 0 && self.one_in(4) {
            let mut pauses: Vec<(u64, Duration)> = (0..self.between(1, 3))
                .map(|_| (self.random.below(most / 4), self.micros(1000, 20_000_000)))
                .collect();
            pauses.sort_unstable();
            pauses
        } else {
            Vec::new()
        };
        let rest = match self.random.below(12) {
            0 => Duration::from_secs(self.between(1, 3600)),
            1 | 2 => self.micros(0, 5_000_000),
            _ => Duration::ZERO,
        };
        let ending = match self.random.below(6) {
            0 if may_be_harsh => Ending::Close,
            1 if may_be_harsh => Ending::Abort(self.random.below(bytes + 1)),
            0..=3 => Ending::HalfClose,
            _ => Ending::AfterPeer,
        };
        Script {
            label: self.random.below(65_521) as usize,
            bytes,
            write_size: self.between(1, 70_000) as usize,
            read_size: self.between(1, 70_000) as usize,
            pauses,
            rest,
            ending,
            lets_go: self.one_in(2),
        }
    }
}

/// Bits per second of the narrowest place.
fn path_rate(path: &[Impairment; 2]) -> u64 {
    path.iter()
        .flat_map(|link| [link.rate, link.police.map(|policer| policer.rate)])
        .flatten()
        .min()
        .unwrap_or(50_000_000)
}
