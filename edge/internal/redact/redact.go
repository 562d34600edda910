// Package redact keeps session ids out of logs. A session's id is its address, and
// for clients of Hydra Router all that it takes to get it; logs are read by more
// people than that. In its place stands [scheme.SID.Short], the same everywhere, so
// that lines about one session can still be found together.
//
// # Design
//
// The ids that the node logs itself are of a type that writes itself so
// ([scheme.SID.LogValue]). But ids also stand in what others say: NATS names the
// subject in its errors, the embedded server the consumer. So the handler looks at
// all text. Rejected: to rewrite the finished line. Its writer does not know where a
// value ends, and a program that embeds a node has a handler of its own.
package redact

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"hydrant/bus/scheme"
)

// Handler is a [slog.Handler] that hands records to another one, without session ids
// in them.
type Handler struct{ next slog.Handler }

// New returns a handler in front of next. One is enough.
func New(next slog.Handler) Handler {
	if h, ok := next.(Handler); ok {
		return h
	}
	return Handler{next}
}

// Enabled implements [slog.Handler].
func (h Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attribute(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs implements [slog.Handler].
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = attribute(a)
	}
	return Handler{h.next.WithAttrs(clean)}
}

// WithGroup implements [slog.Handler].
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.next.WithGroup(name)} }

func attribute(a slog.Attr) slog.Attr {
	return slog.Attr{Key: Text(a.Key), Value: value(a.Value.Resolve())}
}

func value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(Text(v.String()))
	case slog.KindGroup:
		group := make([]slog.Attr, 0, len(v.Group()))
		for _, a := range v.Group() {
			group = append(group, attribute(a))
		}
		return slog.GroupValue(group...)
	case slog.KindAny:
		shown := fmt.Sprint(v.Any())
		if text := Text(shown); text != shown {
			return slog.StringValue(text)
		}
	}
	return v
}

// Text replaces the session ids in a text.
func Text(text string) string {
	var clean strings.Builder
	done := 0
	for i := 0; i < len(text); {
		if !isAlphanumeric(text[i]) {
			i++
			continue
		}
		begin := i
		for i < len(text) && isAlphanumeric(text[i]) {
			i++
		}
		if i-begin != scheme.SIDLen {
			continue
		}
		if sid, err := scheme.ParseSID(text[begin:i]); err == nil {
			clean.WriteString(text[done:begin])
			clean.WriteString(sid.Short())
			done = i
		}
	}
	if done == 0 {
		return text
	}
	clean.WriteString(text[done:])
	return clean.String()
}

func isAlphanumeric(c byte) bool { return c-'0' <= 9 || (c|0x20)-'a' <= 25 }
