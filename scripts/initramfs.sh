#!/bin/sh
# initramfs.sh VARIANT CONFIG: make $CACHE/VARIANT/ARCH-CONFIG/initramfs.cpio from busybox,
# scripts/guest, the base tree's selftests that configs/selftests-mm names and the series' own.
. "$(dirname "$0")/common.sh"

variant=${1:?variant} config=${2:?config}
src=$CACHE/$variant/src
out=$CACHE/$variant/$ARCH-$config
tests=$out/tests
log=$RUN_LOGS/tests-$variant-$config.log

key=$(cat "$out/.anon-key" "$TOP/configs/selftests-mm" "$TOP"/scripts/guest/* "$TOP/scripts/initramfs.sh" | sha256sum)
if [ -f "$out/initramfs.cpio" ] && [ "$(cat "$out/.anon-initramfs-key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi
stage "build the $variant guest's test programs" "${NEXT:-}"

# selftests DIR TARGET...: static programs from the variant's own tree and headers.
selftests() {
	_dir=$src/tools/testing/selftests/$1
	shift
	run_logged "$log" make -C "$_dir" OUTPUT="$tests" ARCH="$ARCH" LLVM="$LLVM" \
		KHDR_INCLUDES="-isystem $out/usr/include" USERLDFLAGS=-static "$@"
}

mkdir -p "$RUN_LOGS"
rm -rf "$tests" "$out/root"
mkdir -p "$tests" "$out/root/tests" "$out/root/bin" "$out/root/etc"
kernel_make "$variant" "$config" headers >"$log" 2>&1 || die "make headers fails, see $log"

programs=$(sed '/^#/d; /^$/d' "$TOP/configs/selftests-mm" | awk '{ print $3 }' | sort -u)
# shellcheck disable=SC2046
selftests mm $(printf "$tests/%s\n" $programs) ||
	die "the $variant tree's selftests/mm do not build"
own=
if [ -d "$src/tools/testing/selftests/anon_owner" ]; then
	own=$(make -s -C "$src/tools/testing/selftests/anon_owner" LLVM="$LLVM" emit_tests COLLECTION=anon_owner | sed -n 's/^anon_owner://p')
	selftests anon_owner all || die "the series' selftests do not build"
fi
if [ -f "$TOP/scripts/guest/workload.c" ]; then
	"clang$clang_suffix" -O2 -Wall -static -o "$tests/workload" "$TOP/scripts/guest/workload.c" >>"$log" 2>&1 ||
		die "the workload does not build, see $log"
	own="$own workload"
fi
echo "$own" >"$out/.anon-own-tests"
for program in $programs $own; do
	"llvm-strip$clang_suffix" -o "$out/root/tests/$program" "$tests/$program" 2>>"$log" ||
		cp "$tests/$program" "$out/root/tests/$program"
done

cp "$(command -v busybox)" "$out/root/bin/busybox"
cp "$TOP/scripts/guest/init" "$out/root/init"
chmod 755 "$out/root/init"
if [ "$variant" = test ] && ls "$TOP"/configs/test-kernel/*.patch >/dev/null 2>&1; then
	: >"$out/root/etc/want-anon-state"
fi
pack "$out/root" "$out/initramfs.cpio"
echo "$key" >"$out/.anon-initramfs-key"
