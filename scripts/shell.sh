#!/bin/sh
# shell.sh boot|shell: boot the test kernel, once without tests or with a prompt.
. "$(dirname "$0")/common.sh"

NEXT="build the guest's programs" "$TOP/scripts/build.sh" test debug
NEXT=boot "$TOP/scripts/initramfs.sh" test debug
case ${1:?boot or shell} in
shell)
	exec "$TOP/scripts/boot.sh" test debug shell
	;;
boot)
	mkdir -p "$RUN_LOGS"
	echo "boot 60 uname -a" >"$RUN_LOGS/tests"
	"$TOP/scripts/boot.sh" test debug guest "$RUN_LOGS/tests"
	stage "logs: $RUN_LOGS"
	python3 "$TOP/scripts/report.py" --console "$RUN_LOGS/guest/console.log" \
		--plain "boot=$RUN_LOGS/guest/boot.ktap"
	;;
esac
