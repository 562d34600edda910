#!/usr/bin/env bash
# Builds the images of the compose file from what this machine has, where no
# base image can be pulled: static binaries by the host's Go, HAProxy from its
# Debian package. Nothing is downloaded but Go modules.
#
#   deploy/docker/build.sh [-v VERSION] [hydrant] [nats] [haproxy]
#
# It makes hydrant, hydrant-nats and hydrant-haproxy (without names: all three),
# tagged VERSION. Without -v the version is what git calls this commit, and each
# is tagged `latest` as well, which is what the compose file takes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# The classic builder: it needs no plugin, and warns that it is one.
export CGO_ENABLED=0 GOTOOLCHAIN=${GOTOOLCHAIN:-local} DOCKER_BUILDKIT=0

version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
latest=yes
while getopts v: option; do
	case $option in
	v) version=$OPTARG latest= ;;
	*) echo "usage: $0 [-v VERSION] [hydrant] [nats] [haproxy]" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# certificates copies the host's roots, so that TLS to NATS and to a key set
# works as in the multi-stage image.
certificates() {
	local from=/etc/ssl/certs/ca-certificates.crt
	[ -r "$from" ] || { echo "$0: no $from; install ca-certificates" >&2; return 1; }
	mkdir -p "$1/etc/ssl/certs"
	cp "$from" "$1/etc/ssl/certs/"
}

# libraries copies what a dynamic binary loads, the loader included, and what
# glibc opens by name to resolve addresses.
libraries() {
	local root=$1 binary=$2 lib
	{
		ldd "$binary" | grep -o '/[^ ]*'
		ldconfig -p | grep -oE '/[^ ]*libnss_(files|dns)\.so\.2$' | head -2
	} | sort -u | while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done
}

# pack makes the image NAME from a root folder and the further Dockerfile lines
# on standard input. Files belong to root, /data to the user of the image.
pack() {
	local name=$1 root=$2 context=$2.context
	mkdir -p "$context" "$root/data"
	tar -C "$root" --owner=0 --group=0 --exclude=./data -cf "$context/rootfs.tar" .
	tar -C "$root" --owner=65532 --group=65532 -rf "$context/rootfs.tar" ./data
	{
		printf 'FROM scratch\nADD rootfs.tar /\nLABEL org.opencontainers.image.title="%s" org.opencontainers.image.version="%s"\n' "$name" "$version"
		cat
	} >"$context/Dockerfile"
	docker build -q -t "$name:$version" "$context" >/dev/null
	[ -z "$latest" ] || docker tag "$name:$version" "$name:latest"
	echo "$name:$version"
}

hydrant() {
	local root=$work/hydrant
	certificates "$root"
	go build -trimpath -ldflags "-s -w -X hydrant/edge.Version=$version" -o "$root/hydrant" ./edge/cmd/hydrant
	# The lines of deploy/docker/Dockerfile itself, so the two cannot differ.
	sed -n '/^USER /,$p' deploy/docker/Dockerfile | pack hydrant "$root"
}

nats() {
	local root=$work/nats module=github.com/nats-io/nats-server/v2
	certificates "$root"
	# GOBIN does not hold a cross-compiled binary, so this is for the host's
	# own architecture, like the rest.
	GOBIN=$root go install -trimpath -ldflags "-s -w" "$module@$(go list -m -f '{{.Version}}' "$module")"
	sed -n '/^USER /,$p' deploy/docker/nats/Dockerfile | pack hydrant-nats "$root"
}

haproxy() {
	local root=$work/haproxy binary
	binary=$(type -P haproxy || echo /usr/sbin/haproxy)
	[ -x "$binary" ] || { echo "$0: no haproxy here; apt-get install haproxy" >&2; return 1; }
	certificates "$root"
	mkdir -p "$root/usr/local/etc/haproxy" "$root/var/lib/haproxy"
	cp "$binary" "$root/haproxy"
	libraries "$root" "$binary"
	pack hydrant-haproxy "$root" <<'LINES'
USER 65532:65532
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/haproxy"]
CMD ["-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
LINES
}

for image in "${@:-hydrant nats haproxy}"; do
	for one in $image; do
		case $one in
		hydrant | nats | haproxy) "$one" ;;
		*) echo "$0: no image $one" >&2; exit 2 ;;
		esac
	done
done
