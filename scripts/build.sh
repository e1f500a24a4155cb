#!/bin/sh
# build.sh VARIANT CONFIG: build a kernel in $CACHE/VARIANT/ARCH-CONFIG. Same source,
# configuration and compiler as the last time: nothing is built.
. "$(dirname "$0")/common.sh"

variant=${1:?variant} config=${2:?config}
out=$CACHE/$variant/$ARCH-$config
lock "$variant"
log=$RUN_LOGS/build-$variant-$config.log

commit=$("$TOP/scripts/source.sh" "$variant")

# CONFIG is NAME of configs/NAME.config, or NAME+MORE with the options in EXTRA on top.
fragments="$TOP/configs/common.config $TOP/configs/$ARCH.config $TOP/configs/${config%%+*}.config"
# The test kernel has the KUnit suite too: kunit.py or scripts/guest/kunit run it there, on request.
case $variant-$config in
test-debug*) fragments="$fragments $CACHE/test/src/lib/kunit-anon/.kunitconfig $CACHE/test/src/lib/kunit-anon/smp.kunitconfig
		$TOP/configs/test-kernel/config" ;;
esac
more() { for _option in ${EXTRA:-}; do echo "CONFIG_$_option"; done; }
# shellcheck disable=SC2086
key=$(echo "$commit"; { cat $fragments; more; } | sha256sum; "clang$clang_suffix" --version | head -n 1)
if [ -f "$out/$image" ] && [ "$(cat "$out/.anon-key" 2>/dev/null)" = "$key" ]; then
	stage "the $variant $config kernel is up to date: nothing to build"
	exit 0
fi

stage "build the $variant $config kernel for $ARCH" "${NEXT:-}"
# fixdep knows what the options of MORE change: start from what NAME has compiled.
plain=$CACHE/$variant/$ARCH-${config%%+*}
if [ "$plain" != "$out" ] && [ -d "$plain" ]; then
	rm -rf "$out"
	cp -a "$plain" "$out"
fi
mkdir -p "$out" "$RUN_LOGS"
rm -f "$out/.anon-key"
# shellcheck disable=SC2086
{ cat $fragments; more; } >"$out/.anon-config"
run_logged "$log" kernel_make "$variant" "$config" KCONFIG_ALLCONFIG="$out/.anon-config" allnoconfig

# Kconfig drops what it cannot have without a word; a symbol that is not as asked is an error.
missing=$(sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1=n/p; /^CONFIG_/p' "$out/.anon-config" |
	tac | awk -F= '!seen[$1]++' |
	while IFS='=' read -r symbol value; do
		is=$(sed -n "s/^$symbol=//p" "$out/.config")
		[ "${is:-n}" = "$value" ] || echo " $symbol=$value (is ${is:-n})"
	done)
[ -z "$missing" ] || die "the configuration does not come out as asked:$(echo "$missing" | tr '\n' ',' | sed 's/,$//')"

start=$(date +%s)
run_logged "$log" kernel_make "$variant" "$config" "$(basename "$image")" || die "the $variant $config kernel does not build"
echo "$key" >"$out/.anon-key"
stage "built the $variant $config kernel in $(($(date +%s) - start)) s"
