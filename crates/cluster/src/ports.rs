//! Ports for a cluster that keeps them, also while what listens on them is dead.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::{SysRng, Xoshiro256PlusPlus};
use rand::{SeedableRng as _, TryRng as _};

use crate::error::{Error, Result};

/// Below the ports that the kernel gives to connections (`net.ipv4.ip_local_port_range` begins at 32768), so that no
/// connection takes the port of a component that is dead for a moment.
const RANGE: std::ops::Range<u16> = 10_000..32_000;
/// Places that are tried before it is given up: most are free.
const TRIES: usize = 200;

/// `count` free ports in a row, at a random place: clusters that know nothing of each other, and cannot see the ports
/// of each other's dead components, are far apart that way. kwokctl's own choice begins at 32767 for every cluster.
///
/// # Errors
/// When no place is free.
pub(crate) fn free_ports(count: u16) -> Result<Vec<u16>> {
    let seed = SysRng.try_next_u64().map_err(|error| Error::Failed(format!("no random number: {error}")))?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut places = (0..TRIES).map(|_| random.random_range(RANGE)).map(|first| first..first + count);
    let free = places.find(|ports| ports.clone().all(is_free));
    let taken = || Error::Failed(format!("no {count} free ports in a row between {} and {}", RANGE.start, RANGE.end));
    free.map(Iterator::collect).ok_or_else(taken)
}

/// Whether it can be listened on, on all addresses, which no listener on one of them allows.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

/// The same, a while after whoever listened was killed: its other threads may hold the port a moment longer.
pub(crate) fn becomes_free(port: u16) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    while !is_free(port) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_in_a_row_and_can_be_listened_on() {
        let ports = free_ports(6).unwrap();
        assert_eq!(ports.len(), 6);
        assert!(ports.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ports:?}");
        let _listening: Vec<_> =
            ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap()).collect();
        assert!(ports.iter().all(|port| !is_free(*port)));
    }
}
