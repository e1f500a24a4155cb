#!/bin/sh
# warnings.sh N: what Clang with W=1 and sparse say about the series' C files after N patches, and
# did not say on the base. Prints it; fails if there is anything. Cached by commit.
. "$(dirname "$0")/common.sh"
lock step

# warnings N: the file that lists "count object file: text" for N patches.
warnings() {
	_commit=$(STEP=$1 "$TOP/scripts/source.sh" step commit)
	_key=$( (echo "$_commit $ARCH"; cat "$TOP/configs/common.config" "$TOP/configs/$ARCH.config" \
		"$TOP/configs/plain.config" "$TOP/scripts/warnings.sh" "$TOP/scripts/objects.sh"
		"clang$clang_suffix" --version; sparse --version) | sha256sum | cut -d' ' -f1)
	_file=$CACHE/step/warnings/$_key
	if [ ! -f "$_file" ]; then
		_all=$CACHE/step/$ARCH-objects/.anon-warnings
		mkdir -p "$CACHE/step/warnings" "${_all%/*}" "$RUN_LOGS"
		# make compiles what changed since it last ran; what it said of the rest is kept. After
		# a run that was cut short nothing is known.
		if [ -f "$_all" ]; then
			mv "$_all" "$_all.old"
		else
			: >"$_all.old"
			(cd "${_all%/*}" && touched_files | sed -n 's/\.c$/.o/p' | xargs rm -f)
		fi
		_log=$RUN_LOGS/warnings-$ARCH-$1.log
		run_logged "$_log" "$TOP/scripts/objects.sh" "$1" W=1 C=1 ||
			die "the touched files do not compile for $ARCH after $1 patches"
		awk '
		/^  [A-Z]+ / {
			object = $NF
			sub(/^.*\/src\//, "", object); sub(/^(\.\.\/)+/, "", object); sub(/\.[co]$/, "", object)
			if ($1 == "CC") print object "\t"
		}
		/: (warning|error): / {
			sub(/^.*\/src\//, ""); sub(/^(\.\.\/)+/, ""); sub(/:[0-9]+(:[0-9]+)?:/, ":")
			print object "\t" $0
		}' "$_log" >"$_all.new"
		awk -F '\t' 'FILENAME == ARGV[1] { new[$1]; next } !($1 in new)' "$_all.new" "$_all.old" >"$_all.kept"
		sort "$_all.kept" "$_all.new" >"$_all"
		cp "$_all" "$_file.part" && mv "$_file.part" "$_file"
	fi
	echo "$_file"
}

base=$(warnings 0)
step=$(warnings "${1:?number of patches}")
new=$(awk -F '\t' '$2 == "" { next } FILENAME == ARGV[1] { known[$0]++; next } known[$0]-- <= 0' "$base" "$step")
[ -z "$new" ] || { echo "$new"; exit 1; }
