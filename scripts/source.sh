#!/bin/sh
# source.sh VARIANT [commit]: put the source of VARIANT at $CACHE/VARIANT/src; print its commit.
# With "commit", only print the commit.
#   base    the base
#   series  base + series/[0-9]*.patch, by strict git am
#   test    series + configs/test-kernel/*.patch (test-only, never part of the series)
#   step    base + the first $STEP patches of the series
# git moves the work tree, so that only files that changed get a new time stamp.
. "$(dirname "$0")/common.sh"

variant=${1:?variant} what=${2:-}
lock linux
src=$CACHE/$variant/src
am=$CACHE/am

linux_git() { plain_git --git-dir="$GIT_DIR_LINUX" "$@"; }

# put_on COMMIT PATCH...: the commit of COMMIT + PATCHes, from an earlier run if it is known.
put_on() {
	_on=$1
	shift
	_key=$( (echo "$_on"; cat "$@") | sha256sum | cut -d' ' -f1)
	linux_git rev-parse -q --verify "refs/am/$_key^{commit}" && return 0

	sparse_worktree "$am" "$_on" "$@"
	for _patch; do
		if ! plain_git -C "$am" am -q --committer-date-is-author-date "$_patch" >"$am.log" 2>&1; then
			cat "$am.log" >&2
			die "${_patch#"$TOP"/} does not apply on $(linux_git log -1 --format=%s "$_on"): $(failed_hunk "$am.log" "$_patch")"
		fi
	done
	_new=$(plain_git -C "$am" rev-parse HEAD)
	linux_git update-ref "refs/am/$_key" "$_new"
	rm -rf "$am"
	echo "$_new"
}

commit=$("$TOP/scripts/fetch.sh")
if [ "$variant" != base ]; then
	# shellcheck disable=SC2046
	set -- $(patches)
	[ $# = 0 ] || commit=$(put_on "$commit" "$@")
	[ "$variant" != step ] || commit=$(linux_git rev-parse -q --verify "$commit~$(($# - STEP))")
fi
if [ "$variant" = test ]; then
	set -- "$TOP"/configs/test-kernel/*.patch
	[ ! -e "$1" ] || commit=$(put_on "$commit" "$@")
fi

if [ "$what" = commit ]; then
	:
elif [ ! -e "$src/.git" ]; then
	stage "check out the $variant tree" >&2
	rm -rf "$src"
	linux_git worktree prune
	linux_git worktree add -q --detach "$src" "$commit"
elif [ "$(plain_git -C "$src" rev-parse HEAD)" != "$commit" ]; then
	plain_git -C "$src" checkout -q --detach "$commit" ||
		die "$src was changed by hand; remove it, or keep your work with make tree"
fi
echo "$commit"
