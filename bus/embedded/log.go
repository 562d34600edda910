package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"unicode"
)

// logger hands the server's log lines to slog. It remembers the last error,
// since the server reports a failed start nowhere else.
type logger struct {
	// Immutable after newLogger.
	to *slog.Logger // nil: nothing is logged

	// Guarded by mu.
	mu    sync.Mutex
	last  string
	fatal bool
}

func newLogger(to *slog.Logger) *logger { return &logger{to: to} }

func (l *logger) log(level slog.Level, format string, v ...any) {
	if l.to != nil {
		l.to.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l *logger) failed(fatal bool, format string, v ...any) {
	l.mu.Lock()
	l.last = fmt.Sprintf(format, v...)
	l.fatal = l.fatal || fatal
	l.mu.Unlock()
	l.log(slog.LevelError, format, v...)
}

// lastError is the last error the server logged, or a sentence that there was
// none.
func (l *logger) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return "the server gave no reason in time"
	}
	return l.last
}

// dead reports whether the server logged that it cannot go on.
func (l *logger) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// The methods of server.Logger. Fatalf must not end the process: whoever
// embeds the server decides that.

func (l *logger) Fatalf(format string, v ...any) { l.failed(true, format, v...) }

// Noticef leaves out the server's banner and the list of its settings: a picture, lines
// that are indented or empty.
func (l *logger) Noticef(format string, v ...any) {
	if text := fmt.Sprintf(format, v...); text != "" && unicode.IsLetter(rune(text[0])) {
		l.log(slog.LevelDebug, "%s", text)
	}
}

// Warnf leaves out that passwords are plain: they are random, and in memory alone.
func (l *logger) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Plaintext passwords detected") {
		l.log(slog.LevelWarn, format, v...)
	}
}

// Errorf takes errors of the server, and of clients: who has no password is none of the
// server's failures.
func (l *logger) Errorf(format string, v ...any) {
	if strings.Contains(fmt.Sprintf(format, v...), "authentication error") {
		l.log(slog.LevelWarn, format, v...)
		return
	}
	l.failed(false, format, v...)
}

func (l *logger) Debugf(format string, v ...any) { l.log(slog.LevelDebug, format, v...) }
func (l *logger) Tracef(format string, v ...any) { l.log(slog.LevelDebug, format, v...) }
