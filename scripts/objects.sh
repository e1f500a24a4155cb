#!/bin/sh
# objects.sh N [MAKE-ARGUMENT...]: compile the objects of the series' C files at the base plus its
# first N patches, without a whole kernel. With an object among the arguments only what they name.
. "$(dirname "$0")/common.sh"

STEP=${1:?number of patches}
export STEP
shift
lock step
out=$CACHE/step/$ARCH-objects
src=$CACHE/step/src
"$TOP/scripts/source.sh" step >/dev/null
mkdir -p "$out" "$RUN_LOGS"

# Kconfig ignores the test's symbol where it does not exist yet.
cat "$TOP/configs/common.config" "$TOP/configs/$ARCH.config" "$TOP/configs/plain.config" - >"$out/.anon-config" <<-EOF
CONFIG_KUNIT=y
CONFIG_ANON_VMA_OWNED_KUNIT_TEST=y
EOF
run_logged "$RUN_LOGS/objects.log" kernel_make step objects KCONFIG_ALLCONFIG="$out/.anon-config" allnoconfig
objects=
for file in $(touched_files | sed -n '/^tools\//d; /\.c$/p'); do
	[ ! -f "$src/$file" ] || objects="$objects ${file%.c}.o"
done
case "$* " in *'.o '*) objects= ;; esac
# shellcheck disable=SC2086
kernel_make step objects -k --output-sync=target "$@" $objects
