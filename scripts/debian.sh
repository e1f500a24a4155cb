#!/bin/sh
# debian.sh NAME PACKAGE...: print a folder in the cache with these Debian packages, and all that
# they depend on, for ARCH. They are unpacked there through apt's own sources and transport, not
# installed: nothing of the machine changes. Beside it, debian.cpio is the same for a guest's /debian.
. "$(dirname "$0")/common.sh"

name=${1:?name}
shift
lock "debian-$name"
root=$CACHE/debian-$name-$ARCH/debian
key=$(echo "$*" | cat - "$TOP/scripts/debian.sh" | sha256sum)
if [ "$(cat "$root/.anon-key" 2>/dev/null)" = "$key" ]; then
	echo "$root"
	exit
fi

stage "fetch Debian's $* for $ARCH" >&2
case $ARCH in x86_64) deb_arch=amd64 ;; *) deb_arch=$ARCH ;; esac
apt=$CACHE/apt-$name-$ARCH log=$RUN_LOGS/debian-$name-$ARCH.log
rm -rf "$root" "$apt"
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
cat >"$apt/conf" <<EOF
APT::Architecture "$deb_arch";
APT::Architectures { "$deb_arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
EOF
export APT_CONFIG="$apt/conf"
run_logged "$log" apt-get update || die "apt-get update fails for $deb_arch, see $log"
run_logged "$log" apt-get install -y --download-only "$@" || die "apt-get has not all of $* for $deb_arch, see $log"

# As on a merged-/usr system.
for dir in bin sbin lib lib64; do
	mkdir -p "$root/usr/$dir"
	ln -s usr/$dir "$root/$dir"
done
for deb in "$apt"/cache/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
		--exclude='*/lto1' --exclude='*/lib?san*'
done
[ ! -e "$root/bin/dash" ] || ln -sf dash "$root/bin/sh"
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/disk" "$root/tmp"
chmod 1777 "$root/tmp"
(cd "$root/.." && find debian | sort | cpio --quiet -o -H newc -R 0:0) >"$root.cpio"
rm -rf "$apt"
echo "$key" >"$root/.anon-key"
echo "$root"
