#!/usr/bin/env bash
# Runs the tests with Docker (tag docker). With `install` it installs what they
# need, from Debian. Starts a dockerd if none runs, and ends the one it started.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = install ]; then
	command -v dockerd >/dev/null && command -v docker-compose >/dev/null && command -v haproxy >/dev/null && exit 0
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		docker.io docker-compose iptables haproxy ca-certificates >/dev/null
	exit 0
fi

if ! docker info >/dev/null 2>&1; then
	state=$(mktemp -d)
	dockerd --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" >"$state/log" 2>&1 &
	daemon=$!
	trap 'kill "$daemon"; wait "$daemon" || true; rm -rf "$state"' EXIT
	for _ in $(seq 100); do
		docker info >/dev/null 2>&1 && break
		kill -0 "$daemon" 2>/dev/null || { tail -5 "$state/log"; exit 1; }
		sleep 0.3
	done
	docker info >/dev/null
fi
go test -count=1 -tags docker -run TestDocker -timeout 15m -v .
