package accounts

import (
	"fmt"
	"strings"

	"hydrant/bus/scheme"
)

// writer writes nats-server's format, one subject a line.
type writer struct {
	strings.Builder
	depth int
}

func (w *writer) line(format string, args ...any) {
	w.WriteString(strings.Repeat("  ", w.depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) open(format string, args ...any) {
	w.line(format, args...)
	w.depth++
}

func (w *writer) close(text string) {
	w.depth--
	w.line("%s", text)
}

// user writes a user and what it may do. Where nothing is allowed, nothing is: an empty
// list would allow all.
func (w *writer) user(name string, p scheme.Permissions) {
	w.open("{ user: %q, password: $%s, permissions: {", name, Variable(name))
	for _, list := range []struct {
		what     string
		subjects []string
	}{{"publish", p.Publish}, {"subscribe", p.Subscribe}} {
		w.open("%s: { allow: [", list.what)
		for _, subject := range list.subjects {
			w.line("%q", subject)
		}
		w.close("] }")
	}
	if p.Responses > 0 {
		w.line("allow_responses: { max: %d, expires: %q }", p.Responses, p.Within)
	}
	w.close("} }")
}
