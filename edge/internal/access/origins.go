package access

import (
	"strings"

	"hydrant/edge/internal/config"
)

// Origins are those of the pages that may connect beside the ones from the same
// host. Safe for concurrent use.
type Origins []config.Origin

// Site is where a request went, as its sender sees it.
type Site struct {
	Host   string // the field Host
	Scheme string // http, https, or "": it is not known
}

// Allow implements the check of RFC 6455 §10.2. origin is the field of the request.
// Only browsers send one: without it there is no page that could act for its reader
// without asking.
func (o Origins) Allow(origin string, to Site) bool {
	if origin == "" {
		return true
	}
	page, ok := config.ParseOrigin(origin)
	for i := range o {
		if ok && o[i].Matches(page) || o[i].All() {
			return true
		}
	}
	return ok && page.At(to.Host, to.Scheme)
}

// ForwardedScheme is the scheme that proxies report in X-Forwarded-Proto, all of whose
// values are in list, separated by commas; "" if it is none, or if they differ. Some
// write wss for a WebSocket.
func ForwardedScheme(list string) string {
	scheme := ""
	for i, value := range strings.Split(list, ",") {
		value = strings.ToLower(strings.TrimSpace(value))
		switch value {
		case "wss":
			value = "https"
		case "ws":
			value = "http"
		case "http", "https":
		default:
			return ""
		}
		if i > 0 && value != scheme {
			return ""
		}
		scheme = value
	}
	return scheme
}
