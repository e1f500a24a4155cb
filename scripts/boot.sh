#!/bin/sh
# boot.sh VARIANT CONFIG LABEL [TESTS]: boot a built kernel in QEMU.
#   TESTS  a file of lines "NAME TIMEOUT COMMAND" to run in the guest; none: a prompt
# INITRD=FILE is one more cpio for the guest's root.
# Leaves in $RUN_LOGS/LABEL: console.log (QEMU's command first), NAME.ktap for each test, exit.
# Ends non-zero if the guest did not end by itself in time; report.py judges the rest.
. "$(dirname "$0")/common.sh"

variant=${1:?variant} config=${2:?config} label=${3:?label} tests=${4:-}
out=$CACHE/$variant/$ARCH-$config
logs=$RUN_LOGS/$label
# The guest itself ends each test that hangs; this is for a guest that hangs.
BOOT_TIMEOUT=${BOOT_TIMEOUT:-300} GUEST_TIMEOUT=${GUEST_TIMEOUT:-7200}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# /dev/kvm may exist and not work, or stop half way through a boot: believe it only if this very
# kernel gets to its panic over the missing root in time.
kvm_works() {
	[ "$ARCH" = "$(uname -m)" ] && [ -w /dev/kvm ] || return 1
	timeout 20 "$qemu" $machine -accel kvm -cpu host -smp 2 -m 1G -nodefaults -display none \
		-no-reboot -serial "file:$tmp/probe" -kernel "$out/$image" \
		-append "console=$console panic=-1" >/dev/null 2>&1 &&
		grep -q 'Kernel panic - not syncing: VFS' "$tmp/probe"
}

# Two NUMA nodes of one socket each: a topology that the kernel does not warn about.
case $ARCH in
x86_64)
	qemu="qemu-system-x86_64"
	machine="-machine q35" console=ttyS0
	# Without "enhanced rep" a page is cleared in 512 steps, each counted as an instruction.
	cpu=max,la57=off${ICOUNT:+,-erms,-fsrm}
	;;
arm64)
	qemu="qemu-system-aarch64"
	machine="-machine virt,gic-version=3" console=ttyAMA0
	# QEMU's own pointer authentication: the architected algorithm is slow to emulate.
	cpu=max,pauth-impdef=on${ICOUNT:+,cntfrq=1000000000}
	;;
esac
# ICOUNT=1: one CPU, whose clock and counter go on by one with each of its instructions.
[ -z "${ICOUNT:-}" ] || ACCEL=tcg
case ${ACCEL:-} in
'') if kvm_works; then accel=kvm; else accel=tcg; fi ;;
*) accel=$ACCEL ;;
esac
[ "$accel" = tcg ] && accel=tcg,thread=multi || cpu=host
smp="-smp 4,sockets=2,cores=2,threads=1" cpus0=cpus=0-1, cpus1=cpus=2-3,
[ -z "${ICOUNT:-}" ] ||
	accel=tcg,thread=single smp="-smp 1 -icount shift=0,sleep=off" cpus0=cpus=0, cpus1=
topology="$smp
	-object memory-backend-ram,id=m0,size=2G -numa node,nodeid=0,${cpus0}memdev=m0
	-object memory-backend-ram,id=m1,size=2G -numa node,nodeid=1,${cpus1}memdev=m1"

mkdir -p "$logs" "$tmp/etc"
limit=$BOOT_TIMEOUT
if [ -n "$tests" ]; then
	echo tests >"$tmp/etc/guest-job"
	sed '/^#/d; /^ *$/d' "$tests" >"$tmp/etc/guest-tests"
	total=$(wc -l <"$tmp/etc/guest-tests")
	limit=$((limit + $(awk '{ n += $2 } END { print n }' "$tmp/etc/guest-tests")))
	[ $limit -lt "$GUEST_TIMEOUT" ] || limit=$GUEST_TIMEOUT
	serial="-chardev file,id=console,path=$logs/console.log,append=on -serial chardev:console"
	serial="$serial -chardev file,id=results,path=/dev/stdout"
else
	echo shell >"$tmp/etc/guest-job"
	serial="-serial mon:stdio -chardev null,id=results"
fi
(cd "$tmp" && find etc | cpio --quiet -o -H newc -R 0:0) | cat "$out/initramfs.cpio" ${INITRD:+"$INITRD"} - >"$tmp/initramfs"
truncate -s 600M "$tmp/disk"
/sbin/mke2fs -q -t ext4 -F "$tmp/disk"

# shellcheck disable=SC2086
set -- "$qemu" $machine -accel $accel -cpu $cpu -m 4G $topology \
	-nodefaults -no-user-config -display none -no-reboot $serial \
	-device virtio-serial-pci -device virtserialport,chardev=results,name=results \
	-chardev file,id=exit,path="$logs/exit" -device virtserialport,chardev=exit,name=exit \
	-drive file="$tmp/disk",if=virtio,format=raw,cache=unsafe \
	-kernel "$out/$image" -initrd "$tmp/initramfs" \
	-append "console=$console panic=-1 oops=panic slab_nomerge ${CMDLINE:-}"

{
	"$qemu" --version | head -n 1
	for arg; do
		case $arg in *[!a-zA-Z0-9_=.,:/+-]*) printf "'%s' " "$arg" ;; *) printf '%s ' "$arg" ;; esac
	done
	echo
} >"$logs/console.log"

if [ -z "$tests" ]; then
	cat "$logs/console.log"
	"$@"
	exit
fi

# Cut the results into one file for each test, and say where the guest is.
split() {
	name='' n=0
	while IFS= read -r line; do
		case $line in
		'# begin '*)
			name=${line#'# begin '} n=$((n + 1)) since=$(date +%s)
			: >"$tmp/begun"
			stage "  $label $n/$total: $name"
			;;
		'# end '*)
			echo "$name $(($(date +%s) - since))" >>"$logs/seconds"
			name=
			;;
		*)
			[ -n "$name" ] && printf '%s\n' "$line" >>"$logs/$name.ktap" || printf '%s\n' "$line"
			;;
		esac
	done
}

stage "boot the $variant $config kernel under ${accel%%,*} ($total tests)" "${NEXT:-}"
rc=0
{
	timeout "$limit" "$@" </dev/null 2>>"$logs/qemu.log" &
	guest=$!
	# Not until the limit of all tests for one that does not get to the first.
	since=$(date +%s)
	while [ ! -f "$tmp/begun" ] && kill -0 $guest 2>/dev/null; do
		[ $(($(date +%s) - since)) -lt "$BOOT_TIMEOUT" ] || { : >"$tmp/hangs"; kill $guest; break; }
		sleep 1
	done
	wait $guest || echo $? >"$tmp/rc"
} | split
[ ! -f "$tmp/rc" ] || rc=$(cat "$tmp/rc")
[ ! -f "$tmp/hangs" ] || die "the guest ran no test within $BOOT_TIMEOUT s; its console: $logs/console.log"
[ "$rc" != 124 ] || die "the guest did not end within $limit s; its console: $logs/console.log"
[ "$rc" = 0 ] || die "QEMU ended with $rc: $(tail -n 3 "$logs/qemu.log" | tr '\n' ' ')"
[ -s "$logs/exit" ] || die "the guest died before its end; its console: $logs/console.log"
