#!/bin/sh
# deps.sh [GROUP]: install the Debian packages that are missing (as root), or name them in one
# sentence: what every target needs, and what the targets of GROUP need besides.
. "$(dirname "$0")/common.sh"

packages="b4 bc bison busybox-static ccache clang$clang_suffix codespell cpio e2fsprogs flex git
	git-email libaio-dev libc6-dev libcap-dev libclang-rt$clang_suffix-dev libelf-dev
	libmailtools-perl libnuma-dev libssl-dev liburcu-dev liburing-dev lld$clang_suffix
	llvm$clang_suffix make perl python3 python3-docutils rsync shellcheck spin xz-utils"
case " $ARCHES " in *" x86_64 "*) packages="$packages qemu-system-x86" ;; esac
case " $ARCHES " in *" arm64 "*) packages="$packages qemu-system-arm" ;; esac
case ${1:-} in
'') ;;
complexity) packages="$packages pahole pmccabe" ;;
lint) packages="$packages coccinelle sparse" ;;
bisect) packages="$packages sparse" ;;
rfc) ;;
*) die "unknown group $1" ;;
esac

missing=
for package in $packages; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || die "these Debian packages are missing: apt-get install$missing"
stage "install$missing" "fetch the kernel"
export DEBIAN_FRONTEND=noninteractive
log=$RUN_LOGS/deps.log
install() {
	# shellcheck disable=SC2086
	run_logged "$log" apt-get install -y --no-install-recommends $missing
}
# Package lists may be missing or old: refresh them once, then try.
run_logged "$log" apt-get update || die "apt-get update fails, see $log"
install || die "apt-get cannot install$missing, see $log"
