# shellcheck shell=bash
# To be sourced: runs the steps of a script, one line each with its elapsed time.

STEP_LOGS=build/logs
mkdir -p "$STEP_LOGS"

# step NAME TITLE COMMAND...: the command's output goes to a log, which is named and ends the screen when it fails.
step() {
	local name=$1 title=$2 log started=$SECONDS status=0
	log=$STEP_LOGS/$name.log
	shift 2
	# In a subshell of its own, so that `set -e` holds inside functions, too.
	set +e
	(set -e; "$@") >"$log" 2>&1
	status=$?
	set -e
	if [ $status -eq 0 ]; then
		printf 'ok     %4d s  %s\n' $((SECONDS - started)) "$title"
		return 0
	fi
	printf 'FAILED %4d s  %s (log: %s)\n' $((SECONDS - started)) "$title" "$log"
	tail -n "${STEP_TAIL:-40}" "$log"
	return $status
}
