#!/bin/sh
# port.sh: does the series apply to KSRC, and does the plain kernel build there for each of ARCHES?
# Writes the line of that version in docs/port.txt.
. "$(dirname "$0")/common.sh"

[ -n "$KSRC" ] || die "which base? KSRC=<kernel tree, tarball or linux-source package>"
table=$TOP/docs/port.txt log=$RUN_LOGS/port.log
mkdir -p "$RUN_LOGS"
base=$("$TOP/scripts/fetch.sh")
kernel=$(git --git-dir="$GIT_DIR_LINUX" show "$base:Makefile" | awk '
	/^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) =/ { v[$1] = $3 }
	END { print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"] v["EXTRAVERSION"] }')
rc=0
if "$TOP/scripts/source.sh" series >"$log" 2>&1; then
	result=applies
	for ARCH in $ARCHES; do
		export ARCH
		if "$TOP/scripts/build.sh" series plain; then
			result="$result, builds for $ARCH"
		else
			result="$result, DOES NOT BUILD for $ARCH" rc=1
		fi
	done
else
	result=$(tail -n 1 "$log" | sed 's/^[a-z.]*: //') rc=1
fi
[ -f "$table" ] || echo "# Written by make port KSRC=: what the series does on another base." >"$table"
{
	grep -v "^$kernel " "$table" || :
	printf '%-12s %s  %s\n' "$kernel" "$(date +%F)" "$result"
} >"$table.new"
mv "$table.new" "$table"
cat "$table"
[ $rc = 0 ] || die "on $kernel the series does not apply or does not build; the logs are in $RUN_LOGS"
