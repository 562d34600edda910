package embedded

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

// TestFailed: a server that switches JetStream off, as it does when its disk fails,
// tells so, with what it logged about it; one that is shut down does not.
func TestFailed(t *testing.T) {
	var log bytes.Buffer
	s := start(t, Options{DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.log.Errorf("no space left on %s", "device")
	if err := s.NATS().DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Failed(); !errors.Is(err, ErrFailed) || err.Error() != ErrFailed.Error()+": no space left on device" {
		t.Errorf("told %v", err)
	}
	if err, more := <-s.Failed(); more {
		t.Errorf("told %v as well", err)
	}
	s = start(t, Options{DataDir: t.TempDir()})
	shutdown(t, s)
	if err := <-s.Failed(); err != nil {
		t.Errorf("shut down, it tells %v", err)
	}
}
