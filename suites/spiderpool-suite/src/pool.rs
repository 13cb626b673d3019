//! Ranges of addresses: what a plugin may give, and one address in the middle that it must not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 network that all pools are in. No network is built, so nothing of it can collide with anything.
const V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 60, 0, 0), 16);
/// The IPv6 one.
const V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 0x60, 0, 0, 0, 0, 0, 0), 112);
/// Offset of the first address in its block; the gateway has offset 1.
const FIRST: u32 = 10;
/// Distance of the blocks of two nodes.
const BLOCK: u32 = 256;
/// The size of a node's block, as a prefix of IPv4.
pub const SLICE: &str = "/24";

/// Family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A range of addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The family.
    pub family: Family,
    /// The first address.
    pub first: IpAddr,
    /// The last one.
    pub last: IpAddr,
    /// An address in between that must not be given.
    pub excluded: IpAddr,
}

impl Family {
    /// The family of an address.
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The network in which every pool of the family is, as `base/prefix`.
    pub fn subnet(self) -> String {
        match self {
            Self::V4 => format!("{}/{}", V4.0, V4.1),
            Self::V6 => format!("{}/{}", V6.0, V6.1),
        }
    }

    /// Its gateway, which is in no pool.
    pub fn gateway(self) -> IpAddr {
        self.at(1)
    }

    fn at(self, offset: u32) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(V4.0.to_bits() + offset).into(),
            Self::V6 => Ipv6Addr::from_bits(V6.0.to_bits() + u128::from(offset)).into(),
        }
    }
}

impl Pool {
    /// A pool from which exactly `addresses` can be given.
    pub fn of(family: Family, addresses: u32) -> Self {
        Self::from_offset(family, FIRST, addresses)
    }

    /// The same in the block of the `n`th node: at most 240 addresses.
    pub fn of_node(family: Family, n: u32, addresses: u32) -> Self {
        Self::from_offset(family, FIRST + BLOCK * (n + 1), addresses)
    }

    /// From the same first address to the last one of the `nodes`th block, for a plugin that gives each node one by itself.
    pub fn of_slices(family: Family, nodes: u32) -> Self {
        Self::from_offset(family, FIRST, BLOCK * nodes - FIRST - 2)
    }

    fn from_offset(family: Family, first: u32, addresses: u32) -> Self {
        let at = |offset| family.at(offset);
        Self { family, first: at(first), last: at(first + addresses), excluded: at(first + addresses.div_ceil(2)) }
    }

    /// Whether an address may be given.
    pub fn allows(&self, address: &IpAddr) -> bool {
        Family::of(address) == self.family && (self.first..=self.last).contains(address) && *address != self.excluded
    }

    /// The two runs of addresses around the excluded one, as first and last; the second is empty when it ends at it.
    pub fn runs(&self) -> Vec<(IpAddr, IpAddr)> {
        let step = |address: IpAddr, up: bool| -> IpAddr {
            let by = |bits: u128| if up { bits + 1 } else { bits - 1 };
            match address {
                IpAddr::V4(v4) => Ipv4Addr::from_bits(by(u128::from(v4.to_bits())) as u32).into(),
                IpAddr::V6(v6) => Ipv6Addr::from_bits(by(v6.to_bits())).into(),
            }
        };
        let runs = [(self.first, step(self.excluded, false)), (step(self.excluded, true), self.last)];
        runs.into_iter().filter(|(first, last)| first <= last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::v4(Family::V4, "10.60.0.10", "10.60.0.110", "10.60.0.60")]
    #[case::v6(Family::V6, "fd00:60::a", "fd00:60::6e", "fd00:60::3c")]
    fn a_pool_has_its_addresses_and_one_more_that_is_excluded(
        #[case] family: Family,
        #[case] first: IpAddr,
        #[case] last: IpAddr,
        #[case] excluded: IpAddr,
    ) {
        let pool = Pool::of(family, 100);
        assert_eq!(pool, Pool { family, first, last, excluded });
        assert!(pool.allows(&first) && pool.allows(&last));
        assert!(!pool.allows(&excluded) && !pool.allows(&family.gateway()));
    }

    #[test]
    fn the_slices_of_nodes_end_before_their_broadcast_address() {
        let pool = Pool::of_slices(Family::V4, 3);
        assert_eq!(
            (pool.first.to_string(), pool.last.to_string()),
            ("10.60.0.10".to_owned(), "10.60.2.254".to_owned())
        );
    }

    #[test]
    fn an_address_of_the_other_family_is_in_no_pool() {
        assert!(!Pool::of(Family::V6, 10).allows(&Pool::of(Family::V4, 10).first));
    }

    proptest! {
        #[test]
        fn the_runs_hold_exactly_what_may_be_given(addresses in 1u32..2000, node in 0u32..7) {
            let pool = if addresses > 240 { Pool::of(Family::V4, addresses) } else { Pool::of_node(Family::V4, node, addresses) };
            let bits = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.to_bits(),
                IpAddr::V6(_) => 0,
            };
            let given: u32 = pool.runs().iter().map(|(first, last)| bits(*last) - bits(*first) + 1).sum();
            prop_assert_eq!(given, addresses);
            prop_assert!(pool.runs().iter().all(|(first, last)| pool.allows(first) && pool.allows(last)));
        }

        #[test]
        fn the_pools_of_two_nodes_do_not_meet(a in 0u32..50, b in 0u32..50) {
            prop_assume!(a < b);
            prop_assert!(Pool::of_node(Family::V4, a, 240).last < Pool::of_node(Family::V4, b, 240).first);
        }
    }
}
