#!/bin/sh
# tree.sh tree|refresh|agree: the patches and files here, and the kernel tree they come from.
#   tree     $CACHE/tree: branch series, one commit for each patch, on the base
#   refresh  that branch back to series/NNNN-*.patch, and the new files it adds to mm/,
#            include/, lib/ and selftests/
#   agree    prove that series/ and those files agree
# None of them throws away a commit or a change that is nowhere else.
. "$(dirname "$0")/common.sh"

tree=$CACHE/tree
selftests=tools/testing/selftests/anon_owner
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

linux_git() { plain_git --git-dir="$GIT_DIR_LINUX" "$@"; }

# export_to DIR BASE COMMIT: the patches and new files of BASE..COMMIT, laid out as in this repository.
export_to() {
	_to=$1 _range=$2..$3
	mkdir -p "$_to/series"
	linux_git -c core.abbrev=12 format-patch -q --zero-commit --no-signature --no-numbered \
		--no-base -U3 -M -o "$_to/series" "$_range"
	linux_git diff --name-only --diff-filter=A --no-renames "$_range" -- \
		mm include lib/kunit-anon $selftests >"$tmp/added"
	while read -r _file; do
		_dest=$_to/$(echo "$_file" | sed "s,^$selftests/,selftests/,")
		mkdir -p "$(dirname "$_dest")"
		linux_git show "$3:$_file" >"$_dest"
		case $(linux_git ls-tree "$3" -- "$_file") in 100755*) chmod 755 "$_dest" ;; esac
	done <"$tmp/added"
}

# managed DIR: what refresh writes, as paths below DIR.
managed() {
	(cd "$1" && find series mm include lib selftests -type f \
		\( ! -path 'series/*' -o -name '[0-9]*.patch' ! -name '0000-*' \) 2>/dev/null) | sort
}

tree_head() { plain_git -C "$tree" rev-parse HEAD; }
exported_ref=refs/tree/exported base_ref=refs/tree/base

# The tree has nothing uncommitted and no am or rebase half way.
must_be_clean() {
	_dir=$(plain_git -C "$tree" rev-parse --absolute-git-dir)
	[ ! -d "$_dir/rebase-apply" ] && [ ! -d "$_dir/rebase-merge" ] ||
		die "$tree is in the middle of git am or rebase; finish it there first"
	[ -z "$(plain_git -C "$tree" status --porcelain)" ] ||
		die "$tree has uncommitted changes; commit them first"
}

case ${1:?tree, refresh or agree} in
tree)
	base=$("$TOP/scripts/fetch.sh")
	if [ -e "$tree/.git" ]; then
		must_be_clean
		head=$(tree_head)
		export_to "$tmp/tree" "$(linux_git rev-parse $base_ref)" "$head"
		mkdir "$tmp/here" && cp -r "$TOP/series" "$tmp/here/"
		managed "$tmp/here" >"$tmp/a"
		managed "$tmp/tree" | grep '^series/' >"$tmp/b" || :
		if [ "$(linux_git rev-parse $base_ref)" = "$base" ] && cmp -s "$tmp/a" "$tmp/b" &&
		   (while read -r file; do cmp -s "$TOP/$file" "$tmp/tree/$file" || exit 1; done <"$tmp/a"); then
			linux_git update-ref $exported_ref "$head"
			echo "$tree"
			exit 0
		fi
		[ "$head" = "$(linux_git rev-parse $exported_ref)" ] ||
			die "$tree has commits that are not in series/; make refresh exports them, or move them to a branch of their own"
	else
		rm -rf "$tree"
		linux_git worktree prune
		stage "check out $tree" >&2
		linux_git worktree add -q -B series "$tree" "$base"
	fi
	plain_git -C "$tree" checkout -q -B series "$base"
	linux_git update-ref $base_ref "$base"
	# In the tree itself, so that a conflict can be resolved there.
	for patch in $(patches); do
		if ! plain_git -C "$tree" am -q --committer-date-is-author-date "$patch" >"$tmp/am" 2>&1; then
			cat "$tmp/am" >&2
			linux_git update-ref $exported_ref "$base"
			die "${patch#"$TOP"/} does not apply ($(failed_hunk "$tmp/am" "$patch")): resolve it in $tree, git am --continue, git am the later ones, then make refresh"
		fi
	done
	linux_git update-ref $exported_ref "$(tree_head)"
	echo "$tree"
	;;
refresh)
	[ -e "$tree/.git" ] || die "there is no $tree; make tree makes it"
	must_be_clean
	head=$(tree_head)
	base=$(linux_git rev-parse $base_ref)
	linux_git merge-base --is-ancestor "$base" "$head" ||
		die "the branch in $tree is not on the base that make tree put there"
	export_to "$tmp/new" "$base" "$head"
	export_to "$tmp/old" "$base" "$(linux_git rev-parse $exported_ref)"
	lost=
	for file in $(managed "$TOP"); do
		cmp -s "$TOP/$file" "$tmp/new/$file" || cmp -s "$TOP/$file" "$tmp/old/$file" ||
		git -C "$TOP" show "HEAD:$file" 2>/dev/null | cmp -s "$TOP/$file" - ||
			lost="$lost $file"
	done
	[ -z "$lost" ] || die "refresh would overwrite changes that are in no commit:$lost"
	for file in $(managed "$TOP"); do
		[ -e "$tmp/new/$file" ] || rm "$TOP/$file"
	done
	for file in $(managed "$tmp/new"); do
		cmp -s "$TOP/$file" "$tmp/new/$file" && continue
		mkdir -p "$(dirname "$TOP/$file")"
		cp "$tmp/new/$file" "$TOP/$file"
		echo "$file"
	done
	linux_git update-ref $exported_ref "$head"
	;;
agree)
	base=$("$TOP/scripts/fetch.sh")
	commit=$("$TOP/scripts/source.sh" series commit)
	export_to "$tmp/series" "$base" "$commit"
	managed "$TOP" >"$tmp/here"
	managed "$tmp/series" >"$tmp/there"
	# On another base the patches' line numbers may differ.
	[ -z "$KSRC" ] || sed -i '/^series\//d' "$tmp/here" "$tmp/there"
	{
		comm -23 "$tmp/here" "$tmp/there" | sed 's/$/ is not what the series adds/'
		comm -13 "$tmp/here" "$tmp/there" | sed 's/$/ is missing here, the series adds it/'
		comm -12 "$tmp/here" "$tmp/there" | while read -r file; do
			cmp -s "$TOP/$file" "$tmp/series/$file" || echo "$file differs from the series"
		done
	} >"$tmp/differences"
	if [ -s "$tmp/differences" ]; then
		cat "$tmp/differences" >&2
		die "series/ and the files here do not agree: edit in make tree's tree, then make refresh"
	fi
	echo "series/ and the files it adds agree: $(wc -l <"$tmp/here") files"
	;;
*) die "tree, refresh or agree" ;;
esac
