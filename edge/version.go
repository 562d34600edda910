package edge

import (
	"regexp"
	"strings"
)

// Version is the version of this build; the linker may set it
// (-X hydrant/edge.Version=…), to whatever names the build.
var Version = "0.1.0"

// semantic is the form that NATS' service discovery insists on
// (semver.org, point 2 and 9 to 11).
var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// SemanticVersion is Version for NATS' service discovery, which refuses what
// is not a semantic version: v1.2.3 becomes 1.2.3, and a name such as a commit
// becomes the build metadata of 0.0.0.
func SemanticVersion() string {
	version := strings.TrimPrefix(Version, "v")
	if semantic.MatchString(version) {
		return version
	}
	build := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z':
			return r
		}
		return '-'
	}, Version)
	if build == "" {
		return "0.0.0"
	}
	return "0.0.0+" + build
}
