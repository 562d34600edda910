package scheme

import (
	"errors"
	"fmt"
	"strings"
)

// MaxRoute is the length in bytes of the longest route.
const MaxRoute = 1024

// ErrRoute is wrapped by the errors for a text that is no route.
var ErrRoute = errors.New("scheme: not a route")

// Route is a path, or a family of them, that a service answers over HTTP. Immutable.
type Route struct {
	Method string // in upper case; "": any
	Path   string // as it is written

	segments []string
}

// ParseRoute reads a route:
//
//	[METHOD]/v1/users/{id}
//
// A segment in braces, or one that begins with a colon, stands for any one segment
// that is not empty. The method may be missing. Errors wrap [ErrRoute].
func ParseRoute(text string) (Route, error) {
	var r Route
	method, path := "", text
	if strings.HasPrefix(text, "[") {
		var ok bool
		if method, path, ok = strings.Cut(text[1:], "]"); !ok || !ValidName(method) || len(method) > maxMethod {
			return r, fmt.Errorf("%w: method of %q", ErrRoute, text)
		}
	}
	if len(path) > MaxRoute || !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, notOfPath) {
		return r, fmt.Errorf("%w: path %q", ErrRoute, path)
	}
	r = Route{Method: strings.ToUpper(method), Path: path, segments: strings.Split(path[1:], "/")}
	for _, segment := range r.segments {
		if name, wild := Wildcard(segment); wild && name == "" || !wild && strings.ContainsAny(segment, "{}") {
			return Route{}, fmt.Errorf("%w: path %q", ErrRoute, path)
		}
	}
	return r, nil
}

// maxMethod is the length of the longest method in an address.
const maxMethod = 32

func notOfPath(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("?#,", r) }

// String is the route as ParseRoute reads it.
func (r *Route) String() string {
	if r.Method == "" {
		return r.Path
	}
	return "[" + r.Method + "]" + r.Path
}

// Segments are what stands between the slashes of the path. They must not be modified.
func (r *Route) Segments() []string { return r.segments }

// Match compares a path, without its query, and returns what the wildcards stand for.
// The method is not looked at.
func (r *Route) Match(path string) (values map[string]string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	rest, more := path[1:], true
	for _, segment := range r.segments {
		if !more {
			return nil, false
		}
		var got string
		got, rest, more = strings.Cut(rest, "/")
		name, wild := Wildcard(segment)
		switch {
		case !wild && got != segment, wild && got == "":
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

// Wildcard reads a segment {name} or :name.
func Wildcard(segment string) (name string, ok bool) {
	switch {
	case strings.HasPrefix(segment, ":"):
		return segment[1:], true
	case len(segment) >= 2 && segment[0] == '{' && segment[len(segment)-1] == '}':
		name = segment[1 : len(segment)-1]
		if strings.ContainsAny(name, "{}.") { // "{rest...}" is of package net/http, and not meant for one segment
			return "", true
		}
		return name, true
	}
	return "", false
}

// SplitRoutes takes apart what [MetaRoute] has: routes with blanks or commas between.
func SplitRoutes(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r <= ' ' })
}
