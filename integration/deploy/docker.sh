#!/usr/bin/env bash
# Runs the tests with Docker (tag docker): the compose file's, or with `guide` a walk
# through the operations guide, which takes long. With `install` it installs what they
# need, from Debian. Uses the dockerd that runs; if none does it starts one, with
# socket and files of its own, and ends it. Fails where none can be started.
set -euo pipefail
cd "$(dirname "$0")"
export PATH=$PATH:/usr/sbin:/sbin

if [ "${1:-}" = install ]; then
	type -P dockerd docker docker-compose iptables haproxy >/dev/null && exit 0
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		docker.io docker-compose iptables haproxy ca-certificates >/dev/null
	exit 0
fi

start_daemon() {
	state=$(mktemp -d)
	# Compose makes its own networks; docker0 would stay when the daemon is gone.
	dockerd --bridge none --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" \
		--host "unix://$state/docker.sock" >"$state/log" 2>&1 </dev/null &
	daemon=$!
	trap stop_daemon EXIT
	export DOCKER_HOST="unix://$state/docker.sock"
	for _ in $(seq 200); do
		docker info >/dev/null 2>&1 && return
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.3
	done
	echo "$0: dockerd cannot be started here; its last words:" >&2
	tail -20 "$state/log" >&2
	return 1
}

# stop_daemon ends dockerd, which ends its containers first, and removes its
# files. The exit status stays what it was.
stop_daemon() {
	kill "$daemon" 2>/dev/null || true
	wait "$daemon" || true
	umount "$state"/exec/netns/* 2>/dev/null || true
	rm -rf "$state" || echo "$0: left $state behind" >&2
}

tests=TestDockerCompose
[ "${1:-}" != guide ] || tests=TestDockerGuide
docker info >/dev/null 2>&1 || start_daemon
go test -count=1 -tags docker -run "$tests" -timeout 45m -v .
