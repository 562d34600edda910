package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// minimumVersions are those that closed a hole which would be Hydrant's, too:
// what is linked into a node reads bytes of strangers with it.
var minimumVersions = []struct{ module, version, hole string }{
	{"github.com/golang-jwt/jwt/v5", "v5.2.2", "CVE-2025-30204: a token of many dots takes memory"},
	{"github.com/nats-io/nats-server/v2", "v2.11.1", "CVE-2025-30215: JetStream's administration is not checked"},
	{"github.com/nats-io/nkeys", "v0.4.6", "CVE-2023-46129: curve keys encrypt with a known key"},
	{"github.com/prometheus/client_golang", "v1.11.1", "CVE-2022-21698: unknown HTTP methods take memory"},
	{"golang.org/x/crypto", "v0.35.0", "CVE-2025-22869: a slow key exchange takes memory"},
	{"golang.org/x/net", "v0.38.0", "CVE-2025-22872: an unquoted attribute changes what HTML means"},
	{"google.golang.org/protobuf", "v1.33.0", "CVE-2024-24786: JSON that is read without end"},
}

// S31: no library is older than the version that closed a known hole.
func TestMinimumVersions(t *testing.T) {
	t.Parallel()
	_, text := ofModule(t, "go.mod")
	used := make(map[string]string)
	for line := range strings.Lines(text) {
		if fields := strings.Fields(strings.TrimPrefix(line, "require ")); len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			used[fields[0]] = fields[1]
		}
	}
	for _, m := range minimumVersions {
		switch version, ok := used[m.module]; {
		case !ok:
			t.Errorf("%s is not required any more: drop it from the list", m.module)
		case slices.Compare(numbers(t, version), numbers(t, m.version)) < 0:
			t.Errorf("%s %s, want %s or later (%s)", m.module, version, m.version, m.hole)
		}
	}
}

// numbers are those of a version: v1.2.3-rc.1 is 1, 2, 3.
func numbers(t *testing.T, version string) (parts []int) {
	t.Helper()
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	version, _, _ = strings.Cut(version, "+")
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("%q is no version: %v", version, err)
		}
		parts = append(parts, n)
	}
	return parts
}
