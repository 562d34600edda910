package bus

import (
	"fmt"
	"slices"

	"hydrant/bus/scheme"
)

// route is one HTTP-like handler of a service.
type route struct {
	scheme.Route
	handler Handler
}

// newRoute checks a route as HandleMethod has it.
func newRoute(method, path string, h Handler) (route, error) {
	r, err := scheme.ParseRoute("[" + method + "]" + path)
	if err != nil {
		return route{}, fmt.Errorf("%w: %w", ErrServiceConfig, err)
	}
	return route{r, h}, nil
}

// same reports whether two routes match the same requests.
func (r *route) same(other *route) bool {
	return r.Method == other.Method && slices.EqualFunc(r.Segments(), other.Segments(), func(a, b string) bool {
		_, wild := scheme.Wildcard(a)
		_, other := scheme.Wildcard(b)
		return wild && other || a == b
	})
}

// match compares a request, without its query, and returns what the wildcards
// stand for.
func (r *route) match(method, path string) (values map[string]string, ok bool) {
	if method != r.Method {
		return nil, false
	}
	return r.Match(path)
}
