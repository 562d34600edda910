package redact

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"hydrant/bus/scheme"
)

// TestHandler: no session id gets into a log, in whatever a record has it, and its
// short form does.
func TestHandler(t *testing.T) {
	sid := scheme.NewSID()
	via := "0123456789abcdef0123456789abcdef-" + string(sid) + "@hydra-router:/"
	for name, log := range map[string]func(*slog.Logger){
		"its type":        func(l *slog.Logger) { l.Info("x", "sid", sid) },
		"a text":          func(l *slog.Logger) { l.Info("x", "sid", string(sid)) },
		"the message":     func(l *slog.Logger) { l.Info("lost " + string(sid)) },
		"an error":        func(l *slog.Logger) { l.Info("x", "error", fmt.Errorf("no %w", errors.New(via))) },
		"a subject":       func(l *slog.Logger) { l.Info("x", "error", errors.New(`publish to "umf.v1.out.k.`+string(sid)+`"`)) },
		"a list":          func(l *slog.Logger) { l.Info("x", "all", []string{"a", string(sid)}) },
		"a list of ids":   func(l *slog.Logger) { l.Info("x", "all", []scheme.SID{sid}) },
		"a group":         func(l *slog.Logger) { l.Info("x", slog.Group("g", "a", slog.GroupValue(slog.Any("sid", string(sid))))) },
		"a lasting value": func(l *slog.Logger) { l.With("sid", string(sid)).Info("x") },
		"a key":           func(l *slog.Logger) { l.Info("x", string(sid), 1) },
		"a field":         func(l *slog.Logger) { l.Info("x", "entry", struct{ SID scheme.SID }{sid}) },
		"within two lines": func(l *slog.Logger) {
			l.WithGroup("g").Info("x", "error", errors.Join(errors.New(string(sid)), errors.New("y")))
		},
	} {
		for kind, next := range map[string]func(*strings.Builder) slog.Handler{
			"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
			"json": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var line strings.Builder
			log(slog.New(New(New(next(&line)))))
			if strings.Contains(line.String(), string(sid)) || !strings.Contains(line.String(), sid.Short()) {
				t.Errorf("%s, %s: %s", name, kind, line.String())
			}
		}
	}
}

func TestText(t *testing.T) {
	for _, text := range []string{"", "x", "0123456789abcdef0123456789abcdef", "k7abcdefghijklmnopqrstuvw", "k7abcdefghijklmnopqrstuvwxy",
		"K7abcdefghijklmnopqrstuvwx", "k1abcdefghijklmnopqrstuvwx", "connection to 127.0.0.1:4222 is back"} {
		if got := Text(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	const sid = "k7abcdefghijklmnopqrstuvwx"
	short := scheme.SID(sid).Short()
	if got := Text(sid + "," + sid); got != short+","+short {
		t.Errorf("two of them become %q", got)
	}
}
