package wire

import (
	"net"
	"testing"
)

// TestClosedBeforeAccept: a server that is shut down before it accepts says just that.
func TestClosedBeforeAccept(t *testing.T) {
	s, err := NewServer(Options{Loops: 1}, newRecorder(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if !s.track(file) {
		t.Fatal("closed")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.acceptFrom(file); err != ErrServerClosed {
		t.Errorf("it ends with %v", err)
	}
}
