#!/bin/sh
# Import the base into $CACHE/linux.git as one commit and print its id.
# The base is the Debian package that series/base names, or KSRC=<tree, tarball or such a package>.
. "$(dirname "$0")/common.sh"
lock linux

tmp=$CACHE/import.$$
trap 'rm -rf "$tmp"' EXIT

linux_git() { plain_git --git-dir="$GIT_DIR_LINUX" "$@"; }

# commit_tree TREE MESSAGE: the same tree gives the same commit on every machine.
commit_tree() {
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' linux_git commit-tree -m "$2" "$1"
}

# import_dir DIR INDEX MESSAGE [-f]: everything below DIR, with -f also what .gitignore names.
import_dir() {
	# shellcheck disable=SC2086
	GIT_INDEX_FILE=$2 linux_git --work-tree="$1" -c core.compression=1 add -A ${4:-} -- "$1" >&2
	commit_tree "$(GIT_INDEX_FILE=$2 linux_git write-tree)" "$3"
}

# import_tarball FILE MESSAGE
import_tarball() {
	mkdir -p "$tmp/src"
	tar -xf "$1" -C "$tmp/src" --strip-components=1 ||
		die "cannot unpack $1"
	import_dir "$tmp/src" "$tmp/index" "$2" -f
}

# remembered KEY COMMAND...: the commit imported under this key, else import it.
remembered() {
	_ref=refs/base/$1
	shift
	if ! linux_git rev-parse -q --verify "$_ref^{commit}"; then
		stage "import the base" "put the series on it" >&2
		_commit=$("$@")
		linux_git update-ref "$_ref" "$_commit"
		echo "$_commit"
	fi
}

sha_of() { sha256sum "$1" | cut -d' ' -f1; }

gone() {
	die "$package $package_version is no longer on the mirror that apt uses${1:+ ($1)};" \
		"it is the upstream release v$version: get that tree or tarball from kernel.org and give it as KSRC=<tree or tarball>"
}

# Fetch the package from the mirror that apt is configured with for Debian's main archive.
fetch_deb() {
	_file=$CACHE/dl/${deb##*/}
	mkdir -p "$CACHE/dl"
	if [ -f "$_file" ] && [ "$(sha_of "$_file")" = "$sha256" ]; then
		echo "$_file"
		return
	fi
	. /etc/os-release
	_mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' |
		awk -v rel="$VERSION_CODENAME" '$2 == rel && $3 == "Debian" { print $1; exit }')
	[ -n "$_mirror" ] || die "apt has no source for Debian $VERSION_CODENAME main; give the kernel as KSRC=<tree or tarball>"
	stage "fetch $package $package_version (160 MB)" "import the base" >&2
	if ! get "$_mirror$deb" "$_file.part"; then
		if get "${_mirror}dists/$suite/InRelease" "$CACHE/dl/InRelease"; then
			gone "the mirror answers, the file is not there"
		fi
		die "cannot fetch $package: the mirror that apt uses does not answer; KSRC=<tree or tarball> needs no network"
	fi
	[ "$(sha_of "$_file.part")" = "$sha256" ] ||
		die "${deb##*/} does not have the sha256 that series/base states; nothing was imported"
	mv "$_file.part" "$_file"
	echo "$_file"
}

# apt's own downloader: its proxy and transport settings apply.
get() {
	/usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$1" "$2" >&2
}

# import_deb FILE MESSAGE
import_deb() {
	mkdir -p "$tmp/src"
	dpkg-deb --fsys-tarfile "$1" | tar -x -C "$tmp" --wildcards './usr/src/linux-source-*.tar.*' --strip-components=3
	tar -xf "$tmp"/linux-source-*.tar.* -C "$tmp/src" --strip-components=1
	import_dir "$tmp/src" "$tmp/index" "$2" -f
}

import_base() { import_deb "$(fetch_deb)" "Linux $version ($package $package_version)"; }

mkdir -p "$CACHE"
if [ ! -d "$GIT_DIR_LINUX" ]; then
	plain_git init -q --bare "$GIT_DIR_LINUX"
	# No minutes of packing after a commit in make tree's tree.
	linux_git config gc.auto 0
fi

if [ -z "$KSRC" ]; then
	remembered "$sha256" import_base
elif [ -f "$KSRC" ] && [ "${KSRC%.deb}" != "$KSRC" ]; then
	remembered "$(sha_of "$KSRC")" import_deb "$KSRC" "Linux from $(basename "$KSRC")"
elif [ -f "$KSRC" ]; then
	remembered "$(sha_of "$KSRC")" import_tarball "$KSRC" "Linux from $(basename "$KSRC")"
elif [ -f "$KSRC/Kbuild" ] && git -C "$KSRC" rev-parse -q --verify HEAD >/dev/null 2>&1 &&
	[ -z "$(git -C "$KSRC" rev-parse --show-prefix)" ]; then
	[ -z "$(git -C "$KSRC" status --porcelain --untracked-files=no)" ] ||
		die "KSRC=$KSRC has uncommitted changes, which would not be part of the base; commit them first"
	linux_git fetch -q --depth 1 --no-tags "$(git -C "$KSRC" rev-parse --absolute-git-dir)" HEAD
	commit_tree "$(linux_git rev-parse 'FETCH_HEAD^{tree}')" "Linux from a git tree"
elif [ -f "$KSRC/Kbuild" ]; then
	dir=$(realpath "$KSRC") all=
	# Debian's .gitignore names all of the source; the others only what a build leaves.
	! linux_git --work-tree="$dir" check-ignore -q "$dir/mm/rmap.c" || all=-f
	import_dir "$dir" "$CACHE/ksrc$all.index" "Linux from a tree" $all
else
	die "KSRC=$KSRC is neither a kernel tree nor a tarball or linux-source package"
fi
