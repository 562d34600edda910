package access

import (
	"net/url"
	"strings"
)

// Origins are those of the pages that may connect beside the ones from the same
// host: scheme://host[:port], or * for all. Safe for concurrent use.
type Origins []string

// Allow implements the check of RFC 6455 §10.2. origin and host are the fields of
// the request. Only browsers send an origin: without one there is no page that
// could act for its reader without asking.
func (o Origins) Allow(origin, host string) bool {
	if origin == "" {
		return true
	}
	for _, listed := range o {
		if listed == "*" || strings.EqualFold(listed, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
