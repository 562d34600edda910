package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// watcher is a server's logger that writes a line "PUB <subject>" for every
// message that a client publishes, and everything but traces as text.
//
// A subscription on ">" would be simpler, but it is interest in every subject:
// with it, NATS answers no request with "no responders" any more, which the
// tests need to see.
type watcher struct{}

func (watcher) Noticef(format string, v ...any) { line("INF", format, v) }
func (watcher) Warnf(format string, v ...any)   { line("WRN", format, v) }
func (watcher) Errorf(format string, v ...any)  { line("ERR", format, v) }
func (watcher) Debugf(format string, v ...any)  { line("DBG", format, v) }

// Fatalf ends the process, as the server expects of its logger.
func (watcher) Fatalf(format string, v ...any) {
	line("FTL", format, v)
	os.Exit(1)
}

// Tracef gets every protocol operation, "<<-" those that come in.
func (watcher) Tracef(format string, v ...any) {
	_, operation, incoming := strings.Cut(fmt.Sprintf(format, v...), "<<- [")
	if !incoming {
		return
	}
	operation, isPublish := strings.CutPrefix(strings.TrimPrefix(operation, "H"), "PUB ")
	if !isPublish {
		return
	}
	subject, _, _ := strings.Cut(operation, " ")
	fmt.Fprintf(os.Stderr, "PUB %s\n", subject)
}

func line(level, format string, v []any) {
	fmt.Fprintf(os.Stderr, "%s [%s] %s\n", time.Now().Format(time.StampMilli), level, fmt.Sprintf(format, v...))
}
