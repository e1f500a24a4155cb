#!/bin/sh
# rfc.sh: write the mails of the series to OUT (default: $CACHE/rfc). Sends nothing.
#   FROM='Name <mail>'   who submits: From and Signed-off-by
#   ASSISTED_BY=TEXT     the value of Assisted-by, see coding-assistants.rst of the kernel; or none
#   ASSISTANCE=FILE      what generated-content.rst of the kernel asks the cover letter to tell
#   BASE_COMMIT=ID       the commit that reviewers know the base by
#   REPO=URL             where reviewers find this repository
#   BRANCH=NAME          the branch for the commits (default: rfc-vN)
# The version is one more than that of the last tag rfc-vN here, and the cover letter has the
# range-diff against the series at that tag.
. "$(dirname "$0")/common.sh"

out=${OUT:-$CACHE/rfc}
printf '%s\n' "${FROM:-}" | grep -Eqx '[^<>]*[^<> ] <[^<>@ ]+@[^<>@ ]+>' ||
	die "who submits it? FROM='Name <mail>' goes into From and Signed-off-by"
[ -n "${ASSISTED_BY:-}" ] ||
	die "were tools that generate content used? ASSISTED_BY='LLM [TOOL]...', in the form that" \
		"Documentation/process/coding-assistants.rst of the kernel asks for, or ASSISTED_BY=none"
[ -f "${ASSISTANCE:-/dev/null}" ] || [ -z "${ASSISTANCE:-}" ] || die "there is no file ASSISTANCE=$ASSISTANCE"
[ ! -e "$out" ] || [ -z "$(find "$out" -mindepth 1 ! -name '*[0-9][0-9][0-9][0-9]-*.patch')" ] ||
	die "$out has other files than mails in it"
name=${FROM% <*} mail=${FROM##*<}
mail=${mail%>}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

linux_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
	GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$mail GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$mail \
	git --git-dir="$GIT_DIR_LINUX" "$@"
}

trailers() {
	[ "$ASSISTED_BY" = none ] || set -- --trailer "Assisted-by: $ASSISTED_BY"
	git interpret-trailers "$@" --trailer "Signed-off-by: $FROM"
}

# signed BASE TIP: the commits of BASE..TIP as the submitter's, with the trailers.
signed() {
	_parent=$1
	for _commit in $(linux_git rev-list --reverse "$1..$2"); do
		linux_git log -1 --format=%B "$_commit" | trailers >"$tmp/message"
		_parent=$(linux_git commit-tree -p "$_parent" -F "$tmp/message" "$_commit^{tree}")
	done
	echo "$_parent"
}

base=$("$TOP/scripts/fetch.sh")
tip=$(signed "$base" "$("$TOP/scripts/source.sh" series commit)")
"$TOP/scripts/source.sh" base >/dev/null

set --
# get_maintainer knows the tree that it is called in.
maintainers() {
	# shellcheck disable=SC2046
	(cd "$CACHE/base/src" && scripts/get_maintainer.pl --no-git --no-git-fallback --no-rolestats "$@" $(patches))
}
maintainers --no-r --no-l >"$tmp/to" || die "get_maintainer fails"
maintainers --no-m >"$tmp/cc" || die "get_maintainer fails"
grep -vxFf "$tmp/to" "$tmp/cc" >"$tmp/only-cc" || :
[ -s "$tmp/to" ] && [ -s "$tmp/only-cc" ] || die "get_maintainer names nobody"
while read -r who; do set -- "$@" --to="$who"; done <"$tmp/to"
while read -r who; do set -- "$@" --cc="$who"; done <"$tmp/only-cc"

last=$(git -C "$TOP" tag -l 'rfc-v[0-9]*' | sed 's/^rfc-v//' | sort -n | tail -n 1)
version=$((${last:-0} + 1))
if [ -n "$last" ]; then
	# The scripts of that time, on the base of that time, in the same repository.
	mkdir "$tmp/last"
	git -C "$TOP" archive "rfc-v$last" | tar -x -C "$tmp/last"
	last_base=$("$tmp/last/scripts/fetch.sh")
	last_tip=$(signed "$last_base" "$("$tmp/last/scripts/source.sh" series commit)")
	set -- "$@" -v$version --range-diff="$last_base..$last_tip"
fi

mkdir -p "$tmp/mails"
linux_git -c core.abbrev=12 format-patch -q --rfc --cover-letter --thread=shallow --base="$base" \
	--no-signature -M "$@" -o "$tmp/mails" "$base..$tip"

# b4 0.12 stumbles over a Subject of two lines; format-patch does not declare what a diff contains.
mime='MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n'
for patch in "$tmp/mails"/*; do
	sed -i '1,/^$/{/^Subject: /{:a;N;s/\n / /;ta}}' "$patch"
	! LC_ALL=C grep -q '[^ -~	]' "$patch" || sed '/^$/q' "$patch" | grep -q '^Content-Type:' ||
		sed -i "0,/^\$/s|^\$|$mime|" "$patch"
done

# The base is known to reviewers by another name than the import here.
known=${BASE_COMMIT:-}
[ -n "$known" ] || [ -z "$KSRC" ] || known=$(git -C "$KSRC" rev-parse -q --verify HEAD 2>/dev/null) || :
repo=$(printf '%s' "${REPO:-not published}" | sed 's/[&|\]/\\&/g')
sed "1,/^\$/d; s|^\[4\] REPOSITORY\$|[4] $repo|" "$TOP/series/cover-letter" >"$tmp/body"
{
	echo
	if [ -n "${ASSISTANCE:-}" ]; then cat "$ASSISTANCE"; echo; fi
} >>"$tmp/body"
trailers <"$tmp/body" >"$tmp/blurb"
cover=$(find "$tmp/mails" -name '*0000-cover-letter.patch')
subject=$(sed -n 's/^Subject: \(\[[^]]*\] \)*//p' "$TOP/series/cover-letter")
awk -v subject="$subject" -v blurb="$tmp/blurb" -v known="$known" '
/^Subject: / && sub(/\*\*\* SUBJECT HERE \*\*\*/, "") { print $0 subject; next }
$0 == "*** BLURB HERE ***" { while ((getline line <blurb) > 0) print line; next }
known != "" && /^base-commit: / { $0 = "base-commit: " known }
{ print }' "$cover" >"$tmp/cover"
mv "$tmp/cover" "$cover"

mkdir -p "$out"
rm -f "$out"/*.patch
mv "$tmp/mails"/* "$out/"
branch=${BRANCH:-rfc-v$version}
linux_git update-ref "refs/heads/$branch" "$tip"
cat <<EOF
$(ls "$out" | wc -l) mails of version $version are in $out, nothing was sent.
Their commits are the branch $branch of $GIT_DIR_LINUX, for b4 prep --enroll $base.
Read them; then git send-email --dry-run $out/*.patch, and git tag rfc-v$version once they are out.
EOF
[ -n "${REPO:-}" ] || echo "The cover letter sends readers to a repository that it calls not published: REPO=<url>."
[ -n "$known" ] || echo "base-commit is this project's import of the base: BASE_COMMIT=<id> names the one of kernel.org, if the trees are equal."
python3 "$TOP/scripts/bench.py" check --current >/dev/null 2>"$tmp/figures" ||
	echo "The figures in the cover letter are not good: $(cat "$tmp/figures")"
[ "$ASSISTED_BY" = none ] || [ -n "${ASSISTANCE:-}" ] ||
	echo "Documentation/process/generated-content.rst asks the cover letter to tell more: ASSISTANCE=<file>."
