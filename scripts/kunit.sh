#!/bin/sh
# kunit.sh um|x86_64|arm64|i386|arm [test]: run lib/kunit-anon with the kernel's own kunit.py, on a
# kernel that kunit.py builds from the series and the suite's .kunitconfig; with "test" on the test
# kernel, which has the suite built in. Leaves $RUN_LOGS/kunit-ARCH.log.
# KUNITCONFIG=<folder in the tree> runs another suite, T= one test,
# VARIANT=step what source.sh calls so.
. "$(dirname "$0")/common.sh"

arch=${1:?um or an architecture}
variant=${VARIANT:-series}
build=$CACHE/$variant/kunit-$arch
[ "${2:-}" != test ] || variant=test build=$CACHE/test/$arch-${CONFIG:-debug}
lock $variant
src=$CACHE/$variant/src
log=$RUN_LOGS/kunit-$arch.log
config=${KUNITCONFIG:-lib/kunit-anon}

"$TOP/scripts/source.sh" $variant >/dev/null
[ -f "$src/$config/.kunitconfig" ] || die "the series has no $config/.kunitconfig: no KUnit test to run"
mkdir -p "$RUN_LOGS" "$build"

kunit() {
	_verb=$1
	shift
	CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache} CCACHE_BASEDIR=$CACHE/$variant CCACHE_DEPEND=1 \
	KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=anon KBUILD_BUILD_HOST=localhost \
	python3 "$src/tools/testing/kunit/kunit.py" "$_verb" --build_dir "$build" --arch "$arch" \
		--make_options LLVM="$LLVM" --make_options KCFLAGS=-Werror=noderef \
		--make_options CC="$(command -v ccache || true) clang$clang_suffix" "$@"
}

cd "$src"
# What UML does not have is in a file of its own; 32 bits have some of it. UML's early boot unlocks
# what was locked before lockdep was up: lockdep warns and turns itself off for the whole run. The
# PCI that kunit.py adds for others' tests is not needed here.
set -- --kunitconfig "$config"
add() { for _symbol; do printf ' --kconfig_add CONFIG_%s' "$_symbol"; done; }
has_32="SMP=y TRANSPARENT_HUGEPAGE=y TRANSPARENT_HUGEPAGE_MADVISE=y FAULT_INJECTION=y FAILSLAB=y"
# shellcheck disable=SC2046,SC2086
case $arch in
um) set -- "$@" $(add PROVE_LOCKING=n KUNIT_UML_PCI=n) ;;
i386) set -- "$@" $(add $has_32) ;;
arm) set -- "$@" $(add $has_32 ARM_LPAE=y) ;;
*) [ ! -f "$src/$config/smp.kunitconfig" ] || set -- "$@" --kunitconfig "$config/smp.kunitconfig" ;;
esac
if [ $variant != test ]; then
	stage "KUnit on $arch: configure and build" "run"
	run_logged "$RUN_LOGS/kunit-$arch-build.log" kunit config "$@" ||
		die "the KUnit kernel for $arch cannot be configured"
	run_logged "$RUN_LOGS/kunit-$arch-build.log" kunit build "$@" --jobs "$JOBS" ||
		die "the KUnit kernel for $arch does not build"
fi
# kunit.py asks for KVM first, and QEMU hangs where KVM is there but does not work (see boot.sh):
# give it a QEMU that knows of TCG alone.
if [ "$arch" != um ]; then
	qemu=qemu-system-$arch
	[ "$arch" != arm64 ] || qemu="qemu-system-aarch64"
	mkdir -p "$build/bin"
	cat >"$build/bin/$qemu" <<-EOF
	#!/bin/sh
	n=\$#
	while [ \$n -gt 0 ]; do
		arg=\$1 n=\$((n - 1))
		shift
		case "\$arg \$1" in
		"-accel kvm" | "-accel hvf") shift; n=\$((n - 1)) ;;
		*) set -- "\$@" "\$arg" ;;
		esac
	done
	exec $(command -v "$qemu") "\$@"
	EOF
	chmod +x "$build/bin/$qemu"
	PATH=$build/bin:$PATH
fi
stage "KUnit on $arch: run" "${NEXT:-}"
rc=0
[ "$arch" = um ] || set -- "$@" --qemu_args "-smp 2" --kernel_args kunit.autorun=1
kunit exec "$@" --timeout 900 --raw_output=all ${T:+"$T"} >"$log" 2>&1 || rc=$?
printf '\n# anon-exit: %s\n' $rc >>"$log"
