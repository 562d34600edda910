package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// writePair writes a new self-signed certificate and its key.
func writePair(t testing.TB, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", pkcs8)
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func testCertificates(t testing.TB) *Certificates {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, 1)
	c, err := LoadCertificates(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificatesReload(t *testing.T) {
	c := testCertificates(t)
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() int64 {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	touch := func(file string) {
		t.Helper()
		now = now.Add(time.Minute)
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d at first", got)
	}

	// Half of the new pair: the old one is served on.
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, 2)
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		touch(to)
	}
	move(cert, c.cert)
	if got := serial(); got != 1 {
		t.Errorf("serial %d while the key is missing", got)
	}
	move(key, c.key)
	if got := serial(); got != 2 {
		t.Errorf("serial %d after the change", got)
	}

	// Looked at once a second only, and not lost when the files vanish.
	writePair(t, c.cert, c.key, 3)
	if got := serial(); got != 2 {
		t.Errorf("serial %d within the second", got)
	}
	if err := os.Remove(c.cert); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if got := serial(); got != 2 {
		t.Errorf("serial %d without a file", got)
	}
}

func TestLoadCertificatesErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadCertificates(filepath.Join(dir, "no"), filepath.Join(dir, "no"), nil); err == nil {
		t.Error("missing files were accepted")
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("bad"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCertificates(bad, bad, nil); err == nil {
		t.Error("bad files were accepted")
	}
}

// TestTLSHandshakeFails: a peer that does not speak TLS is told so, in words that it
// understands, and the connection ends without a reset.
func TestTLSHandshakeFails(t *testing.T) {
	h := newRecorder(t)
	s := serve(t, Options{TLS: testCertificates(t).Config()}, h, nil)
	const alert = "\x15\x03\x01\x00\x02\x02\x0a"
	cases := []struct{ send, want string }{
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
		{upgradeRequest(), "HTTP/1.1 400 Bad Request\r\n"},
		{upgradeRequest("Cookie: " + strings.Repeat("c", 100_000)), "HTTP/1.1 400 Bad Request\r\n"},
		{"POST / HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request\r\n"},
		{"\x00\x01\x02\x03\x04\x05\x06\x07", alert},
		{"\xff\xfe\xfd\xfc\xfb", alert},
		{"\x17\x03\x03\x00\x01x", alert},
	}
	for i, c := range cases {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Write([]byte(c.send)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(nc)
		if err != nil || !strings.HasPrefix(string(answer), c.want) {
			t.Errorf("%.20q is answered with %q, %v", c.send, answer, err)
		}
		if c.want != alert && !strings.Contains(string(answer), "\r\n\r\nthis port speaks TLS") {
			t.Errorf("%q", answer)
		}
		_ = nc.Close()
		s.wantDrop(t, DropTLS, uint64(i)+1)
	}
}

// TestTLSHandshakeTimeout: whoever does not complete the TLS handshake in time gets an
// alert, whether it has sent anything or not, and the log says so, now and then.
func TestTLSHandshakeTimeout(t *testing.T) {
	var log lockedBuffer
	o := Options{TLS: testCertificates(t).Config(), HandshakeTimeout: time.Hour, CloseTimeout: time.Hour, StallLimit: unstalled, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := serve(t, o, newRecorder(t), nil)
	for i, send := range []string{"", "\x16\x03\x01\x02\x00\x01", "\x16"} {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Write([]byte(send)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is accepted", func() bool { return s.Stats().Accepted == uint64(i)+1 })
		s.pass(t, o.HandshakeTimeout+time.Minute)
		answer, err := io.ReadAll(nc)
		if err != nil || string(answer) != string(canceled) {
			t.Errorf("%q is answered with %q, %v", send, answer, err)
		}
		_ = nc.Close()
		s.wantDrop(t, DropHandshakeTimeout, uint64(i)+1)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="wire: TLS handshakes fail" count=1 address=127.0.0.1 err=`) {
		t.Errorf("the log says\n%s", got)
	}
	if s.failures.Load() != 2 {
		t.Errorf("%d are left for the next line", s.failures.Load())
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	all strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// stashConn can keep the bytes written to it, for the test to write in one piece.
type stashConn struct {
	net.Conn
	stash []byte
	keep  bool
}

func (c *stashConn) Write(p []byte) (int, error) {
	if !c.keep {
		return c.Conn.Write(p)
	}
	c.stash = append(c.stash, p...)
	return len(p), nil
}

// TestEndBehindMessages: messages before the end of the stream are handled, also if
// both were read at once, which crypto/tls does with TLS 1.2.
func TestEndBehindMessages(t *testing.T) {
	got := make(chan string, 2)
	h := newRecorder(t)
	h.message = func(c *Conn, _ bool, p []byte) {
		got <- string(p)
		if string(p) == "first" {
			c.Pause()
			c.Loop().Post(c.Resume)
		}
	}
	s := serve(t, Options{TLS: testCertificates(t).Config()}, h, nil)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	raw := &stashConn{Conn: nc}
	client := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	p := &peer{client, t, wrapReader(client)}
	p.send([]byte(upgradeRequest()))
	p.wantUpgraded()
	raw.keep = true
	p.send(join(clientFrame(text, "first"), clientFrame(text, "second")))
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil { // CloseWrite has let it pass
		t.Fatal(err)
	}
	if _, err := nc.Write(raw.stash); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if m := receive(t, got, want+" is not handled"); m != want {
			t.Errorf("%q comes where %q is next", m, want)
		}
	}
	h.wantClosed(DropEOF, CodeAbnormal)
}
