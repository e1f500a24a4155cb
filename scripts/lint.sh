#!/bin/sh
# lint.sh: checkpatch --strict on every patch, with the checkpatch of the series, and no Signed-off-by.
. "$(dirname "$0")/common.sh"

"$TOP/scripts/source.sh" series >/dev/null
mkdir -p "$RUN_LOGS"
bad=0
for patch in $(patches); do
	# Who submits adds the sign-off; MAINTAINERS follows in the last patch.
	"$CACHE/series/src/scripts/checkpatch.pl" --strict --quiet --no-signoff \
		--root "$CACHE/series/src" --ignore FILE_PATH_CHANGES "$patch" 2>>"$RUN_LOGS/lint.err" || bad=1
	! grep -l '^Signed-off-by:' "$patch" || bad=1
done
[ $bad = 0 ] || die "checkpatch has something to say about the series"
stage "checkpatch has nothing to say about the series"
