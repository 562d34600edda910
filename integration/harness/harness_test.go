package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if faults := Shutdown(); len(faults) > 0 {
		println(strings.Join(faults, "\n"))
		code = 1
	}
	if err := goleak.Find(IgnoreSpawner()); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

func TestParse(t *testing.T) {
	m, err := Parse([]byte(` {"to":"a:/","hdr":{"x-seq":"12","x-prev":"7"},"bdy":{"error":"no", "n": 1e400}} `))
	if err != nil {
		t.Fatal(err)
	}
	if m.To() != "a:/" || m.Seq() != 12 || m.Prev() != 7 || strings.Join(m.Keys, " ") != "to hdr bdy" {
		t.Errorf("read as %+v", m)
	}
	if want := `{"error":"no", "n": 1e400}`; m.Body() != want {
		t.Errorf("body %s, want %s", m.Body(), want)
	}
	for _, bad := range []string{``, `1`, `[]`, `{"a":1,"a":2}`, `{"a":1`, `{} {}`, `{"a" 1}`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a message", bad)
		}
	}
}

func TestScheme(t *testing.T) {
	sid := strings.Repeat("a2", 13)
	node := strings.Repeat("0f", 16)
	for subject, want := range map[string]bool{
		"umf.v1.svc.echo-svcs":                           true,
		"umf.v1.svc.echo.svcs":                           false,
		"umf.v1.svc.*":                                   false,
		"umf.v1.out.a." + sid:                            true,
		"umf.v1.out.a." + sid[1:]:                        false,
		"umf.v1.reply." + node + ".a." + sid + ".m123":   true,
		"umf.v1.evt.session.opened.a." + sid:             true,
		"umf.v1.evt.session.exploded.a." + sid:           false,
		"$KV.UMF_SESSIONS." + sid:                        true,
		"$KV.UMF_SESSIONS.constructor":                   false,
		"$KV.UMF_SESSIONS._probe-" + node:                true,
		"$KV.UMF_SESSIONS._probe-x":                      false,
		"$KV.UMF_SESSIONS._seen-" + node:                 true,
		"$KV.UMF_SESSIONS._seen-x":                       false,
		"$JS.API.STREAM.INFO.UMF_OUT_3":                  true,
		"$JS.API.STREAM.CREATE.UMF_EVIL":                 false,
		"$JS.API.INFO":                                   true,
		"$JS.API.CONSUMER.CREATE.UMF_OUT_0.x.umf.v1.out": true,
		"anything": false,
	} {
		if got := allowed(subject); got != want {
			t.Errorf("%s allowed: %v, want %v", subject, got, want)
		}
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	var log Log
	log.Write([]byte("first"))
	mark := log.Mark()
	log.Write(bytes.Repeat([]byte("x"), logBound))
	log.Write([]byte("last"))
	if got := log.Since(mark); len(got) != logBound || !bytes.HasSuffix(got, []byte("last")) {
		t.Errorf("kept %d bytes, want the newest %d", len(got), logBound)
	}
	if got := log.Tail(4); string(got) != "last" {
		t.Errorf("tail %q", got)
	}
}

// echoServer answers every connection with what it says, until the test ends.
func echoServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func through(t *testing.T) (*Proxy, net.Conn) {
	t.Helper()
	proxy, err := NewProxy(echoServer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	conn, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	return proxy, conn
}

func roundTrip(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v; want %q", got, err, text)
	}
}

func TestProxyPasses(t *testing.T) {
	_, conn := through(t)
	roundTrip(t, conn, strings.Repeat("hello", 100_000))
}

func TestProxyBlackholeHoldsBytes(t *testing.T) {
	proxy, conn := through(t)
	roundTrip(t, conn, "before")
	proxy.Set(Weather{Blackhole: true})
	if _, err := io.WriteString(conn, "during"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 10)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, through a blackhole", n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	proxy.Set(Weather{})
	got := make([]byte, len("during"))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "during" {
		t.Fatalf("after the blackhole: %q, %v", got, err)
	}
}

func TestProxyCutResets(t *testing.T) {
	proxy, conn := through(t)
	roundTrip(t, conn, "before")
	proxy.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read after a cut: %v", err)
	}
}

// A port is given once, and its block is no other process's: whoever tries to
// take the block finds its first port taken.
func TestFreeAddr(t *testing.T) {
	given := make(map[string]bool)
	for range 2*blockPorts + 1 {
		addr, err := FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		if given[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		given[addr] = true
		port, err := strconv.Atoi(portOf(addr))
		if err != nil {
			t.Fatal(err)
		}
		first := localAddr(port - (port-lowestPort)%blockPorts)
		if ln, err := net.Listen("tcp", first); err == nil {
			_ = ln.Close()
			t.Fatalf("%s was given, and nobody holds %s", addr, first)
		}
	}
}

func TestUntilReportsTheLastReason(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("not yet")
	calls := 0
	err := Until(ctx, func() error {
		if calls++; calls == 3 {
			cancel(io.ErrUnexpectedEOF)
		}
		return reason
	})
	if !errors.Is(err, reason) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Until: %v", err)
	}
}

// The servers are real, so a restart must find its store and its ports again.
func TestNATSComesBack(t *testing.T) {
	n, err := StartNATS(t.Context(), NATSOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	nc, err := n.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	before, err := n.Servers[0].Connections()
	if err != nil || len(before) != 1 || before[0].Name != "test" {
		t.Fatalf("connections %+v, %v", before, err)
	}
	n.Servers[0].Kill()
	if err := n.Servers[0].Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Until(t.Context(), func() error { return nc.FlushTimeout(time.Second) }); err != nil {
		t.Fatal(err)
	}
}

// TestEnter: a node that takes nobody just now is asked again, and one that refuses for
// good is not.
func TestEnter(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	_, err := Enter(t.Context(), s.URL, DialOptions{})
	if refused := (*Refused)(nil); !errors.As(err, &refused) || refused.Status != http.StatusForbidden || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
