package bus

import (
	"fmt"
	"strings"

	"hydrant/bus/scheme"
)

// route is one HTTP-like handler of a service.
type route struct {
	method   string // upper case
	path     string // as registered
	segments []string
	handler  Handler
}

const maxRoute = 1024

// newRoute checks a route as HandleMethod has it.
func newRoute(method, path string, h Handler) (route, error) {
	r := route{method: strings.ToUpper(method), path: path, handler: h}
	if !scheme.ValidName(r.method) {
		return r, fmt.Errorf("%w: method %q", ErrServiceConfig, method)
	}
	if path == "" || path[0] != '/' || len(path) > maxRoute || strings.ContainsAny(path, "?# ") {
		return r, fmt.Errorf("%w: path %q", ErrServiceConfig, path)
	}
	r.segments = strings.Split(path[1:], "/")
	for _, seg := range r.segments {
		if name, wild := wildcard(seg); wild && name == "" || !wild && strings.ContainsAny(seg, "{}") {
			return r, fmt.Errorf("%w: path %q", ErrServiceConfig, path)
		}
	}
	return r, nil
}

// String is the route as discovery lists it: "[GET]/v1/users/{id}".
func (r *route) String() string { return "[" + r.method + "]" + r.path }

// match compares a path, without its query, and returns what the wildcards
// stand for.
func (r *route) match(method, path string) (values map[string]string, ok bool) {
	if method != r.method || !strings.HasPrefix(path, "/") {
		return nil, false
	}
	rest, more := path[1:], true
	for _, seg := range r.segments {
		if !more {
			return nil, false
		}
		var got string
		got, rest, more = strings.Cut(rest, "/")
		name, wild := wildcard(seg)
		switch {
		case !wild && got != seg, wild && got == "":
			return nil, false
		case wild:
			if values == nil {
				values = make(map[string]string)
			}
			values[name] = got
		}
	}
	return values, !more
}

// wildcard reads "{name}".
func wildcard(seg string) (name string, ok bool) {
	if len(seg) < 2 || seg[0] != '{' || seg[len(seg)-1] != '}' {
		return "", false
	}
	return seg[1 : len(seg)-1], true
}
