package harness

import (
	"io"
	"net"
	"testing"
)

// What is held comes late, with the end of its connection behind it.
func TestProxyHold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	proxy, err := NewProxy(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	client, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	roundTripTo(t, client, server, "before")
	held, err := proxy.Hold(client.LocalAddr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "late"); err != nil {
		t.Fatal(err)
	}
	<-held.Some()
	client.Close()
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); string(got) != "late" || err != nil {
		t.Errorf("the server got %q, %v", got, err)
	}
	if _, err := proxy.Hold(listener.Addr()); err != ErrNoLink {
		t.Errorf("a connection that never was is held: %v", err)
	}
}

func roundTripTo(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("%q, %v", got, err)
	}
}
