#!/bin/sh
# Makes .venv from requirements.lock and installs the distributions given as arguments into it, editable.
set -eu

: "${PYTHON:=python3}"
log=.venv/setup.log

fail() {
	echo "$1" >&2
	exit 1
}

# Runs a command with its output in the log, and shows meanwhile how many lines match a pattern, of how many.
counted() {
	what=$1 pattern=$2 total=$3
	shift 3
	"$@" >>"$log" 2>&1 &
	work=$!
	trap 'kill "$work" 2>/dev/null; exit 130' INT TERM
	while kill -0 "$work" 2>/dev/null; do
		if [ -t 1 ] && grep -q '^Installing collected' "$log"; then
			printf '\r\033[K  %s: unpacking' "$what"
		elif [ -t 1 ]; then
			printf '\r  %s: %s of %s' "$what" "$(grep -c "$pattern" "$log" || true)" "$total"
		fi
		sleep 1
	done
	[ ! -t 1 ] || printf '\r\033[K'
	wait "$work" || {
		tail -n 20 "$log" >&2
		fail "Setting up failed; the end of $log is above. Mend its cause and run make again."
	}
}

command -v "$PYTHON" >/dev/null 2>&1 ||
	fail "Python is missing: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	fail "$("$PYTHON" --version) is too old: install Python 3.11 or newer, or name one with PYTHON=python3.12 make ..."
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
	fail "Python's venv module is missing: install it (Debian: apt-get install python3-venv)."

echo "Setting up .venv from requirements.lock (once; a minute or two) ..."
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
: >"$log"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
packages=$(grep -c '^[A-Za-z0-9]' requirements.lock)
counted "packages" '^Collecting ' "$packages" \
	.venv/bin/python -m pip install --progress-bar off --require-hashes -r requirements.lock
echo "Installing Modelyard's own distributions ..."
: >"$log"
count=$#
set -- $(for distribution in "$@"; do printf ' -e %s' "$distribution"; done)
counted "distributions" '^Obtaining ' "$count" \
	.venv/bin/python -m pip install --progress-bar off --no-deps --no-build-isolation "$@"
touch .venv/.ready
echo "Set up."
