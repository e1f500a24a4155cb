#!/bin/sh
# full.sh: KUnit and the series' selftests on every kernel of configs/matrix (T=NAME: on one), of
# 32-bit kernels KUnit alone; and the selftests on the base.
# Writes docs/matrix.txt: a row for each, replaced when it runs again.
. "$(dirname "$0")/common.sh"

table=$TOP/docs/matrix.txt
rows=$RUN_LOGS/rows
mkdir -p "$RUN_LOGS"
sed '/^#/d; /^ *$/d' "$TOP/configs/matrix" |
	awk -v t="${T:-}" -v arches=" ${ARCHES:?} " '
		{ of = $2 == "i386" ? "x86_64" : $2 == "arm" ? "arm64" : $2 }
		(t == "" || $1 == t) && index(arches, " " of " ")' >"$rows"
[ -s "$rows" ] || die "configs/matrix has no ${T:-row} for $ARCHES"

[ -f "$table" ] || printf '%s\n' "# Written by make check-full: what ran when, on which series (a hash of the patches), with what result." >"$table"
series=$(patches_id)
failed=0 n=0
while read -r name arch options <&3; do
	n=$((n + 1))
	stage "$n of $(wc -l <"$rows"): $name on $arch"
	export CONFIG="debug+matrix" EXTRA="$options" KUNIT_ARCH=
	mode=matrix
	case $name in base) CONFIG=debug mode=on-base ;; esac
	case $arch in
	i386 | arm) KUNIT_ARCH=$arch ;;
	*) export ARCH="$arch" ARCHES="$arch" ;;
	esac
	start=$(date +%s)
	log=$RUN_LOGS/$name-$arch.log
	RUN_LOGS=$RUN_LOGS/$name-$arch T='' "$TOP/scripts/check.sh" $mode >"$log" 2>&1 && good=yes || good=no
	grep -v '^ok' "$log" | tail -n 25
	result=$(grep -E '^[0-9]+ passed' "$log" | tail -n 1)
	[ $good = yes ] || failed=$((failed + 1))
	row=$(printf '%-14s %-7s %s  %s  %4d s  %s' "$name" "$arch" "$(date +%F)" \
		"$series" $(($(date +%s) - start)) \
		"${result:-did not build or boot}")
	grep -v "^$name  *$arch " "$table" >"$table.new" || :
	echo "$row" >>"$table.new"
	mv "$table.new" "$table"
done 3<"$rows"
cat "$table"
echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ $failed = 0 ] || die "$failed of $n kernels did not pass; the logs are in $RUN_LOGS"
