// SPDX-License-Identifier: GPL-2.0

//! The options that all load generators have: what load they put on the server, and from where.

use std::{
    collections::hash_map::RandomState,
    error, fmt,
    hash::{BuildHasher, Hasher},
    net::IpAddr,
    time::Duration,
};

use clap::Args;

use crate::{
    args::number_in,
    engine::Nanos,
    load::{Extent, Load, Pace, Transport},
    run::{EngineKind, Machine},
    schedule::{Arrivals, Rate},
    socket::SocketOptions,
};

/// In open loop, how many requests of a connection may be in flight unless something else is asked for.
const OPEN_LOOP_IN_FLIGHT: usize = 4096;

const DEFAULT_COUNT: u64 = 10 << 10;

/// What kind of load a tool puts on servers, as far as its user has no say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Over what its requests go, if that is one thing only; otherwise over TCP or, if that is asked for, UDP.
    pub transport: Option<Transport>,
    /// How many requests a connection has in a run of which nothing is said.
    pub count: u64,
    /// How many requests of a connection may be in flight in open loop, unless something else is asked for.
    pub open_loop_in_flight: usize,
}

impl Kind {
    /// The usual kind.
    pub const USUAL: Self = Self {
        transport: None,
        count: DEFAULT_COUNT,
        open_loop_in_flight: OPEN_LOOP_IN_FLIGHT,
    };
}

/// How many requests a call takes at most.
const MAX_BATCH: usize = 1024;

/// How many datagrams a call takes at most.
const MAX_DATAGRAM_BATCH: usize = crate::engine::MAX_DATAGRAMS;

/// How many bytes one call sends at most, unless it is one request.
const MAX_CALL_BYTES: usize = 64 << 20;

/// How long the intervals of the latencies over time are at first.
const INTERVAL_NS: Nanos = 100_000_000;

/// The options that all load generators have.
#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    /// Datagrams over UDP instead of a stream over TCP
    #[arg(short, long)]
    pub udp: bool,

    /// Threads
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=4096))]
    pub jobs: usize,

    /// Connections, shared out among the threads [default: one for each thread]
    #[arg(long, value_name = "N", value_parser = number_in::<usize>(1..=65536))]
    pub connections: Option<usize>,

    /// Requests in flight per connection; with --rate, what is due beyond them is skipped [default: 1, with --rate 4096]
    #[arg(short = 'a', long, value_name = "N", value_parser = number_in::<usize>(1..=65536))]
    pub in_flight: Option<usize>,

    /// Requests per connection and run [default: 10k, unless there is a --duration]
    #[arg(short, long, value_name = "N", conflicts_with = "duration", value_parser = number_in::<u64>(1..=1 << 40))]
    pub count: Option<u64>,

    /// How long a run lasts
    #[arg(long, value_name = "TIME", value_parser = time_in(Duration::from_millis(1)..=DAY))]
    pub duration: Option<Duration>,

    /// How long requests are sent in each run before they are measured [default: 0]
    #[arg(long, value_name = "TIME", value_parser = time_in(Duration::ZERO..=DAY))]
    pub warmup: Option<Duration>,

    /// Runs, each with new connections [default: 1]
    #[arg(short, long, value_name = "N", value_parser = number_in::<u64>(1..=1_000_000))]
    pub iterations: Option<u64>,

    /// Open loop: so many requests per second on all connections together, whatever the server does [k: 1000, M: 10^6]
    #[arg(long, value_name = "RATE", value_parser = str::parse::<Rate>)]
    pub rate: Option<Rate>,

    /// How requests follow each other with --rate
    #[arg(long, value_name = "KIND", requires = "rate", default_value = "fixed")]
    pub arrivals: Arrivals,

    /// Requests per call that sends, and replies per call that receives, at most; with --udp at most 64
    #[arg(long, value_name = "N", default_value = "1", value_parser = number_in::<usize>(1..=MAX_BATCH as u64))]
    pub batch: usize,

    /// The local address [default: the system's choice]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,

    /// Processors for the threads, in turn, such as 0,2-5 [default: the system's choice]
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    pub cpus: Option<CpuList>,

    /// Look for replies all the time instead of sleeping until one comes
    #[arg(long)]
    pub busy_poll: bool,

    /// How requests are sent and replies received
    #[arg(long, value_name = "KIND", default_value = "plain")]
    pub engine: EngineKind,

    /// What random choices depend on [default: another one each time]
    #[arg(long, value_name = "N", value_parser = number_in::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,

    /// Give up when nothing has been sent or received for so long [default: 10]; with --udp, what has not come back
    /// after so long is lost [default: 1]
    #[arg(long, value_name = "TIME", value_parser = time_in(MILLISECOND..=DAY))]
    pub timeout: Option<Duration>,

    /// Print only the rows and what was found out, and warnings on standard error
    #[arg(short = 'H', long)]
    pub no_headers: bool,
}

impl LoadOptions {
    /// Over what the requests go.
    pub fn transport(&self) -> Transport {
        if self.udp {
            Transport::Datagrams
        } else {
            Transport::Stream
        }
    }

    /// Connections of all threads together.
    pub fn connections(&self) -> usize {
        self.connections.unwrap_or(self.jobs)
    }

    /// How long nothing may happen; for a datagram, how long it may take to be answered.
    pub fn timeout(&self) -> Duration {
        let default = if self.udp { 1 } else { 10 };
        self.timeout.unwrap_or(Duration::from_secs(default))
    }

    /// The load that is asked for. Without `--seed`, each call chooses another one.
    ///
    /// # Errors
    ///
    /// The options do not go together; what is returned says why, as a complaint about the command line.
    pub fn load(&self, kind: Kind) -> Result<Load, String> {
        if let Some(transport) = kind.transport {
            self.check_own_engine(transport)?;
        }
        let connections = self.connections();
        if connections < self.jobs {
            return Err(format!(
                "invalid value '{connections}' for '--connections <N>': less than the {} threads",
                self.jobs
            ));
        }
        if self.udp && self.batch > MAX_DATAGRAM_BATCH {
            return Err(format!(
                "invalid value '{}' for '--batch <N>' with '--udp': not in 1 to {MAX_DATAGRAM_BATCH}",
                self.batch
            ));
        }
        let default_in_flight = self.rate.map_or(1, |_| kind.open_loop_in_flight);
        Ok(Load {
            transport: kind.transport.unwrap_or(self.transport()),
            threads: self.jobs,
            connections,
            in_flight: self.in_flight.unwrap_or(default_in_flight),
            pace: self.rate.map_or(Pace::Closed, |rate| Pace::Open {
                rate,
                arrivals: self.arrivals,
            }),
            extent: match self.duration {
                Some(duration) => Extent::Duration(nanos(duration)),
                None => Extent::Count(self.count.unwrap_or(kind.count)),
            },
            warmup_ns: self.warmup.map_or(0, nanos),
            batch: self.batch,
            timeout_ns: nanos(self.timeout()),
            interval_ns: INTERVAL_NS,
            // The standard library seeds its hash maps with random numbers of the system.
            seed: self
                .seed
                .unwrap_or_else(|| RandomState::new().build_hasher().finish()),
        })
    }

    /// Refuses what is of no meaning for a transport that has an engine of its own.
    fn check_own_engine(&self, transport: Transport) -> Result<(), String> {
        let given = [
            (self.udp, "--udp"),
            (self.batch != 1, "--batch <N>"),
            (self.engine != EngineKind::default(), "--engine <KIND>"),
        ];
        match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(format!(
                "the argument '{option}' cannot be used over {}",
                transport.name()
            )),
            None => Ok(()),
        }
    }

    /// Makes sure that what one call sends is not too much, if each request has so many bytes.
    ///
    /// # Errors
    ///
    /// It is; what is returned says so, as a complaint about the command line.
    pub fn check_batch(&self, request_bytes: usize) -> Result<(), String> {
        let most = (MAX_CALL_BYTES / request_bytes.max(1)).max(1);
        if self.batch <= most {
            return Ok(());
        }
        Err(format!(
            "invalid value '{}' for '--batch <N>' with requests of {request_bytes} bytes: not in 1 to {most}",
            self.batch
        ))
    }

    /// How the threads use this machine.
    pub fn machine(&self) -> Machine {
        Machine {
            cpus: self.cpus.clone().unwrap_or_default().0,
            busy_poll: self.busy_poll,
            engine: self.engine,
        }
    }

    /// How sockets are opened.
    pub fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            timeout: self.timeout(),
            bind: self.bind,
            busy_poll: self.busy_poll,
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

fn nanos(time: Duration) -> Nanos {
    time.as_nanos().try_into().unwrap_or(Nanos::MAX)
}

/// Why a length of time was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// Not a decimal number with at most one of the units.
    Malformed,
    /// Outside of what makes sense there.
    OutOfRange(Duration, Duration),
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => {
                f.write_str("not a number of seconds, or one with a unit ms, s, m or h")
            }
            Self::OutOfRange(from, to) => write!(f, "not in {from:?} to {to:?}"),
        }
    }
}

impl error::Error for TimeError {}

/// Returns a parser of lengths of time in `range`, for clap's `value_parser`: a decimal number of seconds, or of
/// milliseconds (`ms`), seconds (`s`), minutes (`m`) or hours (`h`).
pub fn time_in(
    range: std::ops::RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, TimeError> + Clone + Send + Sync + 'static {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    move |text| {
        let with_unit = UNITS
            .iter()
            .find_map(|&(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
        let (digits, unit) = with_unit.unwrap_or((text, 1.0));
        if !digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(TimeError::Malformed);
        }
        let number: f64 = digits.parse().map_err(|_| TimeError::Malformed)?;
        Duration::try_from_secs_f64(number * unit)
            .ok()
            .filter(|time| range.contains(time))
            .ok_or(TimeError::OutOfRange(*range.start(), *range.end()))
    }
}

/// Processors, in the order in which threads are bound to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

/// Reads a list as the kernel writes them: numbers and ranges between commas.
fn cpu_list(text: &str) -> Result<CpuList, String> {
    let number = number_in::<usize>(0..=1023);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = match (number(from), number(to)) {
            (Ok(from), Ok(to)) if from <= to => (from, to),
            _ => return Err("not a list such as 0,2-5 of processors up to 1023".to_owned()),
        };
        cpus.extend(from..=to);
    }
    Ok(CpuList(cpus))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: LoadOptions,
    }

    fn options(line: &str) -> LoadOptions {
        let line = ["tool"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(line).unwrap().options
    }

    fn load(line: &str) -> Load {
        options(line).load(Kind::USUAL).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let load = load("--seed 7");
        let expected = Load {
            transport: Transport::Stream,
            threads: 1,
            connections: 1,
            in_flight: 1,
            pace: Pace::Closed,
            extent: Extent::Count(10_240),
            warmup_ns: 0,
            batch: 1,
            timeout_ns: 10_000_000_000,
            interval_ns: 100_000_000,
            seed: 7,
        };
        assert_eq!(load, expected);
        let options = options("");
        assert_eq!(options.machine(), Machine::default());
        assert_eq!((options.iterations, options.no_headers), (None, false));
    }

    #[test]
    fn an_open_loop_has_more_room() {
        let rate = Rate::per_second(50_000.0).unwrap();
        let open = |arrivals| Pace::Open { rate, arrivals };
        let fixed = load("--rate 50k");
        assert_eq!((fixed.pace, fixed.in_flight), (open(Arrivals::Fixed), 4096));
        let exponential = load("--rate 50k --arrivals exponential -a 7");
        assert_eq!(
            (exponential.pace, exponential.in_flight),
            (open(Arrivals::Exponential), 7)
        );
        assert!(Cli::try_parse_from(["tool", "--arrivals", "fixed"]).is_err());
    }

    #[test]
    fn datagrams_have_a_shorter_timeout() {
        assert_eq!(load("-u").timeout_ns, 1_000_000_000);
        assert_eq!(load("-u --timeout 3").timeout_ns, 3_000_000_000);
        assert_eq!(load("--timeout 3").timeout_ns, 3_000_000_000);
        assert_eq!(load("--timeout 50ms").timeout_ns, 50_000_000);
        assert_eq!(load("-u").transport, Transport::Datagrams);
    }

    #[test]
    fn there_is_a_connection_for_each_thread_at_least() {
        assert_eq!(load("-j 3").connections, 3);
        let both = load("-j 3 --connections 1K");
        assert_eq!((both.threads, both.connections), (3, 1_000));
        let complaint = options("-j 3 --connections 2")
            .load(Kind::USUAL)
            .unwrap_err();
        assert!(complaint.contains("less than the 3 threads"), "{complaint}");
    }

    #[test]
    fn what_one_call_takes_depends_on_the_transport() {
        assert_eq!(load("--batch 1024").batch, 1024);
        assert_eq!(load("-u --batch 64").batch, 64);
        let complaint = options("-u --batch 65").load(Kind::USUAL).unwrap_err();
        assert!(complaint.ends_with("not in 1 to 64"), "{complaint}");
    }

    #[test]
    fn what_one_call_takes_depends_on_the_size_of_requests() {
        let batch = options("--batch 256");
        assert_eq!(batch.check_batch(256 << 10), Ok(()));
        let complaint = batch.check_batch((256 << 10) + 1).unwrap_err();
        assert!(complaint.ends_with("not in 1 to 255"), "{complaint}");
        assert_eq!(options("").check_batch(usize::MAX), Ok(()));
        assert_eq!(options("--batch 1024").check_batch(0), Ok(()));
    }

    #[test]
    fn a_run_has_a_count_or_a_duration() {
        assert_eq!(load("-c 4K").extent, Extent::Count(4_000));
        assert_eq!(
            load("--duration 1.5").extent,
            Extent::Duration(1_500_000_000)
        );
        assert_eq!(load("--warmup 20ms").warmup_ns, 20_000_000);
        assert!(Cli::try_parse_from(["tool", "-c", "1", "--duration", "1"]).is_err());
    }

    #[test]
    fn a_tool_may_have_a_transport_and_a_count_of_its_own() {
        let rx = Kind {
            transport: Some(Transport::Rx),
            count: 100,
            open_loop_in_flight: 8,
        };
        let load = |line| options(line).load(rx);
        let found = load("").unwrap();
        assert_eq!(
            (found.transport, found.extent),
            (Transport::Rx, Extent::Count(100))
        );
        assert_eq!(load("-c 7").unwrap().extent, Extent::Count(7));
        assert_eq!(load("").unwrap().in_flight, 1);
        assert_eq!(load("--rate 5").unwrap().in_flight, 8);
        for (line, option) in [
            ("-u", "--udp"),
            ("--batch 2", "--batch <N>"),
            ("--engine io_uring", "--engine <KIND>"),
        ] {
            let complaint = load(line).unwrap_err();
            assert_eq!(
                complaint,
                format!("the argument '{option}' cannot be used over Rx")
            );
        }
    }

    #[test]
    fn every_run_has_another_seed_unless_one_is_given() {
        assert_ne!(load("").seed, load("").seed);
        assert_eq!(load("--seed 0").seed, 0);
    }

    #[test]
    fn times_have_units() {
        let time = time_in(Duration::from_millis(1)..=DAY);
        for (text, ms) in [
            ("1", 1_000),
            ("0.5", 500),
            ("250ms", 250),
            ("2s", 2_000),
            ("1.5m", 90_000),
            ("24h", 86_400_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "+1", "1e3", "1 s", "1us", "inf", "."] {
            assert_eq!(time(text), Err(TimeError::Malformed), "{text}");
        }
        for text in ["0", "25h", "99999999999999999999999"] {
            let error = time(text).unwrap_err();
            assert_eq!(error.to_string(), "not in 1ms to 86400s", "{text}");
        }
    }

    #[test]
    fn lists_of_processors_keep_their_order() {
        assert_eq!(cpu_list("3"), Ok(CpuList(vec![3])));
        assert_eq!(cpu_list("4,0-2,0"), Ok(CpuList(vec![4, 0, 1, 2, 0])));
        for text in ["", ",", "1,", "2-1", "-1", "1-", "a", "1024", "0-9999999"] {
            assert!(cpu_list(text).is_err(), "{text}");
        }
    }
}
