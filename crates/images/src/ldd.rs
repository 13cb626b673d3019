//! The libraries of a program, which an image of it has to hold too.

/// The paths that `ldd` printed. Of several programs it heads each with its own path and a colon.
pub fn libraries(ldd: &str) -> impl Iterator<Item = &str> {
    ldd.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/') && !word.ends_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_what_the_loader_found() {
        let text = "/usr/sbin/nft:\n\tlinux-vdso.so.1 (0x00007ffd)\n\tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x0)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x0)\n/usr/sbin/static:\n\tstatically linked\n";
        let found: Vec<&str> = libraries(text).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libmnl.so.0", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
