# Sourced by every script: settings, progress lines, errors.
# shellcheck shell=sh disable=SC2034
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${CACHE:-${ANON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/anon-vma-owned}}
# The architectures that make check, check-full and stress run on.
ARCHES=${ARCHES:-${ARCH:-x86_64 arm64}}
ARCH=${ARCH:-x86_64}
LLVM=${LLVM:--19}
KSRC=${KSRC:-}
JOBS=${JOBS:-$(nproc)}
GIT_DIR_LINUX=$CACHE/linux.git

# version, suite, package, package_version, deb, sha256
. "$TOP/series/base"

# One clock and one log folder for all the stages of a run.
: "${RUN_START:=$(date +%s)}"
: "${RUN_LOGS:=$CACHE/logs/$(date +%Y%m%d-%H%M%S)-$$}"
export CACHE ARCH ARCHES LLVM KSRC JOBS RUN_START RUN_LOGS

elapsed() {
	_s=$(($(date +%s) - RUN_START))
	printf '%02d:%02d' $((_s / 60)) $((_s % 60))
}

# stage WHAT [NEXT]
stage() {
	printf '[%s] %s%s\n' "$(elapsed)" "$1" "${2:+   next: $2}"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# run_logged LOG COMMAND...: quiet; on failure shows the end of the log.
run_logged() {
	_log=$1
	shift
	mkdir -p "$(dirname "$_log")"
	"$@" >"$_log" 2>&1 && return 0
	_rc=$?
	tail -n 25 "$_log" >&2
	echo "(the whole log: $_log)" >&2
	return $_rc
}

# What ARCH runs of configs/selftests-mm.
base_tests() {
	sed "s/ *# $ARCH\$//; /#/d; /^ *\$/d" "$TOP/configs/selftests-mm"
}

# lock NAME: one run at a time changes $CACHE/NAME; a second one waits.
lock() {
	case " ${LOCKS:-} " in *" $1 "*) return ;; esac
	mkdir -p "$CACHE"
	case $1 in
	linux) exec 8>"$CACHE/$1.lock"; _fd=8 ;;
	*) exec 9>"$CACHE/$1.lock"; _fd=9 ;;
	esac
	flock -n $_fd || { stage "another run is using $CACHE/$1: waiting" >&2; flock $_fd; }
	export LOCKS="${LOCKS:-} $1"
}

# failed_hunk LOG PATCH: the first error of git am in LOG, and the hunk of PATCH that it is about.
failed_hunk() {
	awk '
	FILENAME == ARGV[1] {
		if (sub(/^error: /, "") && error == "") {
			error = $0
			if (match(error, /^patch failed: .*:[0-9]+$/)) {
				n = split(error, at, ":")
				line = at[n]
				file = substr(error, 15, length(error) - 15 - length(line))
			}
		}
		next
	}
	/^--- a\// { in_file = substr($0, 7) == file }
	in_file && /^@@ / && $2 ~ ("^-" line "(,|$)") { hunk = ", hunk " $0; in_file = 0 }
	END { print error hunk }' "$1" "$2"
}

# The patches of the series, without its cover letter.
patches() {
	find "$TOP/series" -name '[0-9]*.patch' ! -name '0000-*' | sort
}

# MAINTAINERS follows in the last patch; a test that recovers from a signal reads what it changed; the
# base here has no history to look commits up in.
checkpatch_ignore=FILE_PATH_CHANGES,VOLATILE,UNKNOWN_COMMIT_ID

# What a result was made with: a hash of the patches, whatever the cover letter says.
patches_id() {
	# shellcheck disable=SC2046
	cat $(patches) | sha256sum | cut -c1-12
}

# touched_files [PATCH...]: the files that the patches touch, by default those of the series.
touched_files() {
	# shellcheck disable=SC2046
	[ $# != 0 ] || set -- $(patches)
	sed -n 's,^\(---\|+++\) [ab]/\([^	]*\).*,\2,p; s,^rename \(from\|to\) ,,p' "$@" | sort -u
}

# sparse_worktree DIR COMMIT PATCH...: a work tree of the files that the patches touch, which is
# enough for git am.
sparse_worktree() {
	_tree=$1 _at=$2
	shift 2
	rm -rf "$_tree"
	plain_git --git-dir="$GIT_DIR_LINUX" worktree prune
	plain_git --git-dir="$GIT_DIR_LINUX" worktree add -q --no-checkout --detach "$_tree" "$_at"
	touched_files "$@" | sed 's,^,/,' | plain_git -C "$_tree" sparse-checkout set --no-cone --stdin
	plain_git -C "$_tree" checkout -q --detach "$_at"
}

# The user's own git settings (signing, line ends, three-way am) must not change a commit.
plain_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \
	GIT_COMMITTER_NAME=base GIT_COMMITTER_EMAIL=base@localhost \
	GIT_AUTHOR_NAME=base GIT_AUTHOR_EMAIL=base@localhost \
	git -c core.bigFileThreshold=1g -c checkout.workers=0 "$@"
}

case $ARCH in
x86_64) target=x86_64-linux-gnu image=arch/x86/boot/bzImage ;;
arm64) target=aarch64-linux-gnu image=arch/arm64/boot/Image.gz ;;
*) die "ARCH=$ARCH is not known; x86_64 and arm64 are" ;;
esac
case $LLVM in
-*) clang_suffix=$LLVM ;;
1) clang_suffix= ;;
*) die "LLVM=$LLVM: give a version suffix such as -19, or 1" ;;
esac

# kernel_make VARIANT CONFIG TARGET...
kernel_make() {
	_variant=$1 _config=$2
	shift 2
	# A fixed time stamp and relative paths let ccache hit, also across variants; it takes what a
	# file includes from its .d file, rather than to preprocess it first. The version of pahole would be in
	# each object's key, and nothing here has BTF.
	KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=anon KBUILD_BUILD_HOST=localhost \
	CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache} CCACHE_BASEDIR=$CACHE/$_variant CCACHE_DEPEND=1 \
	make -C "$CACHE/$_variant/src" O="$CACHE/$_variant/$ARCH-$_config" ARCH="$ARCH" LLVM="$LLVM" \
		CC="$(command -v ccache || true) clang$clang_suffix" KCFLAGS=-Werror=noderef PAHOLE=none -j"$JOBS" "$@"
}
