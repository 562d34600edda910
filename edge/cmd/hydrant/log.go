package main

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hydrant/edge/internal/config"
	"hydrant/edge/internal/redact"
)

const (
	// logBound is how much of the log may wait to be written (bytes); as much
	// again may be in the middle of that.
	logBound = 1 << 20
	// stopLogging bounds how long the last lines may take.
	stopLogging = time.Second
)

// logWriter writes the log on a goroutine of its own. Loops log, and whoever
// reads the log may stand still: a container's runtime, journald, a full disk.
// Once the pipe is full, a write to it returns when they go on; with it, every
// loop would stop, and all clients. What finds no room is counted instead.
type logWriter struct {
	// Immutable after newLogWriter.
	to   io.Writer
	lost prometheus.Counter // lines
	wake chan struct{}      // who logs sends, without waiting
	done chan struct{}      // closed when run has ended

	// Guarded by mu.
	mu     sync.Mutex
	lines  []byte // whole ones
	missed int    // lines, since run looked last
	closed bool
}

func newLogWriter(to io.Writer) *logWriter {
	return &logWriter{to: to, wake: make(chan struct{}, 1), done: make(chan struct{}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "hydrant", Name: "log_lines_lost_total",
			Help: "Lines of the log that were dropped because those before them could not be written."})}
}

// Write takes one line of a handler. It never blocks.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	if len(l.lines)+len(line) <= logBound {
		l.lines = append(l.lines, line...)
	} else {
		l.missed++
		l.lost.Inc()
	}
	l.mu.Unlock()
	l.rouse()
	return len(line), nil
}

// rouse wakes run.
func (l *logWriter) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes what is logged until close. log writes to l: it tells of lines
// that are missing, in their place.
func (l *logWriter) run(log *slog.Logger) {
	defer close(l.done)
	var batch []byte
	for {
		l.mu.Lock()
		batch, l.lines = l.lines, batch[:0]
		missed, closed := l.missed, l.closed
		l.missed = 0
		l.mu.Unlock()
		if missed > 0 {
			log.Warn("lines of the log are missing: it was not read", "lines", missed)
		}
		switch {
		case len(batch) > 0:
			_, _ = l.to.Write(batch) // nobody to tell
		case closed:
			return
		default:
			<-l.wake
		}
		if cap(batch) > 64<<10 {
			batch = nil
		}
	}
}

// close writes what is left, if that can be done.
func (l *logWriter) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.rouse()
	timeout := time.NewTimer(stopLogging)
	defer timeout.Stop()
	select {
	case <-l.done:
	case <-timeout.C:
	}
}

// readable writes durations as 25s: JSON would have nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// newLogger logs text to a terminal and JSON otherwise. The writer is to be
// closed.
func newLogger(cfg *config.Config, level slog.Leveler, to *os.File) (*slog.Logger, *logWriter) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	text := cfg.LogFormat == config.LogText
	if cfg.LogFormat == config.LogAuto {
		text = isTerminal(to)
	}
	w := newLogWriter(to)
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if text {
		handler = slog.NewTextHandler(w, options)
	}
	log := slog.New(redact.New(handler)) // the embedded NATS logs as well
	go w.run(log)
	return log, w
}
