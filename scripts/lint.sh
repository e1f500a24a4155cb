#!/bin/sh
# lint.sh [full]: what can be said about the patches without running them. Remembers what passed.
#   always: checkpatch --strict and no Signed-off-by for each patch; kernel-doc, SPDX, docs/*.rst,
#           spelling, shellcheck, the mails of make rfc
#   full:   W=1 and sparse after each patch on the kernel objects that it touches, coccicheck
# Kernel-doc, W=1, sparse, coccicheck and the kernel's own documents: only what the base does not have.
archs=${ARCH:-x86_64 arm64}
. "$(dirname "$0")/common.sh"

series=$("$TOP/scripts/source.sh" series)
base=$("$TOP/scripts/fetch.sh")
src=$CACHE/series/src
logs=$RUN_LOGS/lint
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$logs" "$CACHE/lint"
bad=

linux_git() { plain_git --git-dir="$GIT_DIR_LINUX" "$@"; }

# check NAME KEY FUNCTION [ARGUMENT]: unless it passed with the same key. Fails if anything is
# printed, too.
check() {
	_stamp=$CACHE/lint/$( (echo "$1 $2 $archs"; cat "$TOP/scripts/lint.sh") | sha256sum | cut -d' ' -f1)
	[ ! -f "$_stamp" ] || return 0
	[ "$mode" = fast ] || stage "lint: $1"
	if "$3" ${4:+"$4"} >"$logs/$1.log" 2>"$logs/$1.err" && [ ! -s "$logs/$1.log" ]; then
		touch "$_stamp"
	else
		sed "s/^/$1: /" "$logs/$1.log"
		tail -n 5 "$logs/$1.err" >&2
		bad="$bad $1"
	fi
}

# only_new COMMAND FILE...: what COMMAND says about the files of the series and not of the base.
only_new() {
	_command=$1
	shift
	for _file; do
		for _side in "base $base" "series $series"; do
			mkdir -p "$tmp/${_side% *}/$(dirname "$_file")"
			linux_git show "${_side#* }:$_file" >"$tmp/${_side% *}/$_file" 2>/dev/null || : >"$tmp/${_side% *}/$_file"
			(cd "$tmp/${_side% *}" && "$_command" "$_file" 2>&1) |
				sed -E 's/:[0-9]+(:[0-9]+(-[0-9]+)?)?:/:/' >"$tmp/said.${_side% *}"
		done
		awk 'FILENAME == ARGV[1] { known[$0]++; next } known[$0]-- <= 0' "$tmp/said.base" "$tmp/said.series"
	done
}

checkpatch() {
	# Who submits adds the sign-off.
	"$src/scripts/checkpatch.pl" --strict --quiet --no-signoff --root "$src" --ignore "$checkpatch_ignore" "$1"
	_rc=$?
	! grep -n '^Signed-off-by:' "$1" || return 1
	return $_rc
}

one_kernel_doc() { python3 "$src/scripts/kernel-doc" -none "$1"; }
kernel_doc() {
	# shellcheck disable=SC2046
	only_new one_kernel_doc $(touched_files | grep '\.[ch]$')
}

spdx() {
	linux_git diff --name-only --diff-filter=A --no-renames "$base" "$series" |
		grep -v '/\(config\|settings\|[a-z]*\.\?kunitconfig\)$' | while read -r _file; do
		linux_git show "$series:$_file" | head -n 2 | grep -q 'SPDX-License-Identifier: ' ||
			echo "$_file has no SPDX-License-Identifier"
	done
}

# Roles and directives of Sphinx are unknown to docutils.
one_document() {
	python3 -m docutils --halt=5 --report=warning "$1" /dev/null 2>&1 |
		sed -n '/Unknown \(interpreted text role\|directive type\)/d; /([A-Z]*\/[2-4])/p'
}
documents() {
	for _file in "$TOP"/docs/*.rst; do
		one_document "$_file"
	done
	# shellcheck disable=SC2046
	only_new one_document $(touched_files | grep '^Documentation/.*\.rst$')
}

warnings() {
	for _arch in $archs; do
		_n=0
		for _patch in $(patches); do
			_n=$((_n + 1))
			ARCH=$_arch "$TOP/scripts/warnings.sh" $_n || echo "$_arch: ${_patch##*/} adds this"
		done
	done
}

# cocci SIDE COMMIT: as scripts/coccicheck of the kernel calls spatch for MODE=report, on these files.
cocci() {
	for _file in $(touched_files | grep -v '^tools/' | grep '\.[ch]$'); do
		mkdir -p "$tmp/cocci/$1/${_file%/*}"
		linux_git show "$2:$_file" >"$tmp/cocci/$1/$_file" || rm "$tmp/cocci/$1/$_file"
	done
	for _rule in $(grep -rl '^virtual report' "$CACHE/$1/src/scripts/coccinelle" | sort); do
		# shellcheck disable=SC2046
		spatch -D report --no-show-diff --very-quiet --cocci-file "$_rule" --dir "$tmp/cocci/$1" \
			$(sed -n 's,^// *Options: *,,p' "$_rule") -I "$CACHE/$1/src/include" \
			-I "$CACHE/$1/src/arch/x86/include" || echo "${_rule##*/}: spatch fails"
	done | sed -E "s,^$tmp/cocci/[a-z]+/,,; s/:[0-9]+(:[0-9]+(-[0-9]+)?)?:/:/"
}
coccicheck() {
	cocci series "$series" >"$tmp/said.series"
	[ -s "$tmp/said.series" ] || return 0
	"$TOP/scripts/source.sh" base >/dev/null
	cocci base "$base" >"$tmp/said.base"
	awk 'FILENAME == ARGV[1] { known[$0]++; next } known[$0]-- <= 0' "$tmp/said.base" "$tmp/said.series"
}

spelling() {
	mkdir -p "$tmp/words"
	for _patch in $(patches); do
		sed -n '1,/^---$/p; s/^+//p' "$_patch" >"$tmp/words/${_patch##*/}"
	done
	# A folio cut in two, DAMON, and what the kernel calls the end of its version.
	codespell -L fo,damon,extraversion "$tmp/words" "$TOP/README.md" "$TOP/docs" "$TOP/scripts" "$TOP/configs" "$TOP/series/cover-letter"
}

shell() { shellcheck -S warning -x -P "$TOP/scripts" "$TOP"/scripts/*.sh; }

mails() { "$TOP/scripts/rfc_test.sh" >&2; }

mode=${1:-fast}
for patch in $(patches); do
	check "checkpatch-$(basename "$patch" | cut -c1-4)" "$(cat "$patch" "$src/scripts/checkpatch.pl")" checkpatch "$patch"
done
check kernel-doc "$base $series" kernel_doc
check spdx "$base $series" spdx
check documents "$base $series $(cat "$TOP"/docs/*.rst)" documents
check shellcheck "$(cat "$TOP"/scripts/*.sh)" shell
check spelling "$(find "$TOP/README.md" "$TOP/docs" "$TOP/scripts" "$TOP/configs" "$TOP/series" -type f -exec sha256sum {} +)" spelling
check mails "$base $(find "$TOP/series" "$TOP/scripts" -type f -exec sha256sum {} +)" mails
if [ "$mode" = full ]; then
	check warnings "$base $series $(cat "$TOP/configs/"*.config)" warnings
	check coccicheck "$base $series" coccicheck
fi
[ -z "$bad" ] || die "lint has something to say:$bad; the logs are in $logs"
stage "lint has nothing to say about the series"
