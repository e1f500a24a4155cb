#!/bin/sh
# initramfs.sh VARIANT CONFIG: make $CACHE/VARIANT/ARCH-CONFIG/initramfs.cpio from busybox,
# scripts/guest, the base tree's selftests that configs/selftests-mm names, the series' own and the
# test kernel's.
. "$(dirname "$0")/common.sh"

variant=${1:?variant} config=${2:?config}
lock "$variant"
src=$CACHE/$variant/src
out=$CACHE/$variant/$ARCH-$config
# What the programs are linked from: this machine, or Debian's packages of another architecture.
sysroot=/ busybox=$(command -v busybox)
if [ "$ARCH" != "$(uname -m | sed s/aarch64/arm64/)" ]; then
	sysroot=$("$TOP/scripts/debian.sh" sysroot busybox-static libaio-dev libc6-dev libcap-dev \
		libgcc-12-dev libnuma-dev liburing-dev)
	busybox=$sysroot/bin/busybox
fi
# GNU ld links for one architecture, lld for all.
cross="--sysroot=$sysroot --ld-path=$(command -v "ld.lld$clang_suffix")"
tests=$out/tests
root=$out/root
log=$RUN_LOGS/tests-$variant-$config.log

# shellcheck disable=SC2046
key=$(cat "$out/.anon-key" "$TOP/configs/selftests-mm" $(find "$TOP/scripts/guest" -type f | sort) "$TOP/scripts/initramfs.sh" | sha256sum)
if [ -f "$out/initramfs.cpio" ] && [ "$(cat "$out/.anon-initramfs-key" 2>/dev/null)" = "$key" ]; then
	exit 0
fi
stage "build the $variant guest's test programs" "${NEXT:-}"

# selftests SUITE TARGET...: static programs from the variant's own tree and headers.
selftests() {
	_suite=$1
	shift
	mkdir -p "$tests/$_suite"
	run_logged "$log" make -C "$src/tools/testing/selftests/$_suite" OUTPUT="$tests/$_suite" \
		ARCH="$ARCH" LLVM="$LLVM" KHDR_INCLUDES="-isystem $out/usr/include" \
		USERCFLAGS="$cross" USERLDFLAGS="-static -s" -j"$JOBS" "$@"
}

# install SUITE PROGRAM...
install() {
	_suite=$1
	shift
	mkdir -p "$root/tests/$_suite"
	for _program; do
		cp "$tests/$_suite/$_program" "$root/tests/$_suite/"
	done
}

# compile FOLDER PROGRAM: one of scripts/guest.
compile() {
	mkdir -p "$tests/$1"
	# shellcheck disable=SC2086
	run_logged "$log" "clang$clang_suffix" --target="$target" $cross -O2 -Wall -static -s -pthread \
		-o "$tests/$1/$2" "$TOP/scripts/guest/$2.c" || die "$2 does not build"
}

rm -rf "$tests" "$root"
mkdir -p "$RUN_LOGS" "$tests" "$root/bin" "$root/etc"

if [ "$config" = plain ]; then
	for program in memory ops waits; do
		compile bench $program
		install bench $program
	done
	mkdir -p "$root/debian/programs"
	cp "$TOP"/scripts/guest/programs/* "$root/debian/programs/"
else
	run_logged "$log" kernel_make "$variant" "$config" headers || die "make headers fails"
	programs=$(base_tests | awk '{ sub("^./", "", $3); print $3 }' | sort -u)
	# shellcheck disable=SC2046,SC2086
	selftests mm $(printf "$tests/mm/%s\n" $programs) ||
		die "the $variant tree's selftests/mm do not build"
	# shellcheck disable=SC2086
	install mm $programs
	: >"$out/.anon-own-tests"
	for suite in anon_owner anon_owner_inject; do
		[ -d "$src/tools/testing/selftests/$suite" ] || continue
		selftests $suite all || die "tools/testing/selftests/$suite does not build"
		programs=$(make -s -C "$src/tools/testing/selftests/$suite" LLVM="$LLVM" \
			emit_tests COLLECTION=own | sed -n 's/^own://p')
		# shellcheck disable=SC2086
		install $suite $programs
		# shellcheck disable=SC2086
		printf "$suite:%s\n" $programs >>"$out/.anon-own-tests"
	done
	cp "$TOP/scripts/guest/kunit" "$root/tests/"
fi

if [ "$config" = debug ]; then
	compile stress mmtorture
	install stress mmtorture
	cp "$TOP/scripts/guest/stress" "$root/tests/stress/"
fi

cp "$busybox" "$root/bin/busybox"
cp "$TOP/scripts/guest/init" "$root/init"
chmod 755 "$root/init"
if [ "$variant" = test ] && [ -n "$(ls "$TOP"/configs/test-kernel/*.patch 2>/dev/null)" ]; then
	: >"$root/etc/want-anon-state"
fi
(cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$out/initramfs.cpio"
echo "$key" >"$out/.anon-initramfs-key"
