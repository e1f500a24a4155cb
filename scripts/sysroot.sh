#!/bin/sh
# sysroot.sh: print the sysroot that the guest's static programs for ARCH are linked from: / for
# this machine's own architecture, else a folder in the cache with Debian's packages for ARCH.
# They are unpacked there, not installed: nothing of the machine changes.
. "$(dirname "$0")/common.sh"

if [ "$ARCH" = "$(uname -m | sed s/aarch64/arm64/)" ]; then
	echo /
	exit
fi

packages="busybox-static libaio-dev libc6-dev libcap-dev libgcc-12-dev libnuma-dev liburing-dev linux-libc-dev"
lock sysroot
root=$CACHE/sysroot-$ARCH
key=$(echo "$packages" | sha256sum)
if [ "$(cat "$root/.anon-key" 2>/dev/null)" != "$key" ]; then
	stage "fetch Debian's $ARCH packages for the guest" "build its programs" >&2
	apt=$CACHE/apt-$ARCH log=$RUN_LOGS/sysroot-$ARCH.log
	rm -rf "$root" "$apt"
	mkdir -p "$root/usr/lib" "$apt/lists/partial" "$apt/archives/partial" "$RUN_LOGS"
	# As on a merged-/usr system.
	ln -s usr/lib "$root/lib"
	# apt's own sources and transport, with lists of its own for the other architecture.
	set -- -o APT::Architecture="$ARCH" -o APT::Architectures="$ARCH" -o APT::Sandbox::User=root \
		-o Dir::State="$apt" -o Dir::State::status=/dev/null -o Dir::Cache="$apt"
	run_logged "$log" apt-get "$@" update || die "apt-get update fails for $ARCH, see $log"
	cd "$apt/archives"
	# shellcheck disable=SC2086
	run_logged "$log" apt-get "$@" download $packages || die "apt-get cannot download $ARCH packages, see $log"
	for deb in *.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
	done
	rm -rf "$apt"
	echo "$key" >"$root/.anon-key"
fi
echo "$root"
