package config

import (
	"regexp"
	"strings"
)

// semantic is the form that NATS' service discovery insists on
// (semver.org, point 2 and 9 to 11).
var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?` +
	`(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// SemanticVersion turns the name of a build into what NATS' service discovery
// takes, which is a semantic version: v1.2.3 becomes 1.2.3, and a name such as a
// commit becomes the build metadata of 0.0.0.
func SemanticVersion(build string) string {
	version := strings.TrimPrefix(build, "v")
	if semantic.MatchString(version) {
		return version
	}
	metadata := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z':
			return r
		}
		return '-'
	}, build)
	if metadata == "" {
		return "0.0.0"
	}
	return "0.0.0+" + metadata
}
