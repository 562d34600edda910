package access

import (
	"sync"

	"hydrant/edge/internal/config"
)

// Bounds of what is kept of pages that may not connect.
const (
	maxStrangers = 64
	maxStranger  = 256 // bytes of an origin
)

// Strangers are the origins that were refused. The zero value has none. Safe for
// concurrent use.
type Strangers struct {
	mu    sync.Mutex
	known map[string]struct{}
}

// First reports whether an origin is refused for the first time, and says what would let
// it in. Of more than 64 origins, and of those that are too long, nothing is said: who
// makes them up must not fill the log.
func (s *Strangers) First(origin string) (advice string, first bool) {
	if len(origin) > maxStranger {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.known[origin]; known || len(s.known) == maxStrangers {
		return "", false
	}
	if s.known == nil {
		s.known = make(map[string]struct{})
	}
	s.known[origin] = struct{}{}
	page, ok := config.ParseOrigin(origin)
	switch {
	case !ok:
		return "serve the page over HTTP: one of a file, or in a sandbox, has no origin of its own, and nothing but EDGE_ALLOWED_ORIGINS=* lets it in", true
	case page.Loopback():
		return "EDGE_ALLOWED_ORIGINS=" + origin + ", or EDGE_ALLOWED_ORIGINS=loopback for all pages of this machine", true
	}
	return "EDGE_ALLOWED_ORIGINS=" + origin, true
}
