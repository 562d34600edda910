package embedded

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/bus/local"
	"hydrant/bus/scheme"
)

// TestUsers: who connects is one of two users, by a password of the data directory, on
// loopback too; what each may do is limited.
func TestUsers(t *testing.T) {
	dir := t.TempDir()
	var out syncBuffer
	s := start(t, Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for name, opts := range map[string][]nats.Option{
		"nobody":           nil,
		"a wrong password": {nats.UserInfo(scheme.UserEdge, "wrong")},
		"no password":      {nats.UserInfo(scheme.UserService, "")},
		"another user":     {nats.UserInfo("admin", "")},
	} {
		if nc, err := s.Connect("x", opts...); !errors.Is(err, nats.ErrAuthorization) {
			if err == nil {
				nc.Close()
			}
			t.Errorf("%s: %v", name, err)
		}
	}
	if text := out.String(); !strings.Contains(text, "authentication error") || strings.Contains(text, "level=ERROR") || s.log.lastError() != newLogger(nil).lastError() {
		t.Errorf("those count as failures of the server:\n%s", text)
	}
	for _, user := range []string{scheme.UserEdge, scheme.UserService} {
		refused := make(chan error, 16)
		closed := make(chan struct{})
		nc, err := bus.Connect(bus.Config{URL: s.URLFor(user)}, "x", nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		for _, subject := range []string{"$JS.API.STREAM.DELETE.UMF_WORK", "$JS.API.STREAM.CREATE.OTHER", "anything"} {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
				t.Errorf("%s, %s: %v", user, subject, err)
			}
		}
		nc.Close()
		<-closed
		if info, err := os.Stat(local.PasswordFile(dir, user)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", user, info, err)
		}
	}
}

// TestPasswordsStay: what programs were given counts after a restart, and on a listener
// for others as well as on loopback.
func TestPasswordsStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s, err := Start(Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	password := s.passwords[scheme.UserService]
	shutdown(t, s)
	s = start(t, Options{DataDir: dir, Listen: "0.0.0.0:0"})
	if s.passwords[scheme.UserService] != password || password == "" {
		t.Errorf("%q is %q now", password, s.passwords[scheme.UserService])
	}
	own, err := local.Address(dir)
	if err != nil || !strings.HasPrefix(own, "nats://127.0.0.1:") || !strings.HasSuffix(s.URLFor(scheme.UserService), strings.TrimPrefix(own, "nats://")) {
		t.Errorf("reached at %s, %v", own, err)
	}
	connect(t, s, nats.UserInfo(scheme.UserService, password))
}

// TestOpen: a server without users is for loopback, and for itself.
func TestOpen(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0", "10.0.0.1:0", "example.org:0"} {
		s, err := Start(Options{DataDir: t.TempDir(), Open: true, Listen: listen})
		if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", listen, err)
		}
		if err == nil {
			shutdown(t, s)
		}
	}
	for _, o := range []Options{{Listen: "127.0.0.1:0"}, {Listen: "localhost:0"}, {NoListen: true, Listen: "0.0.0.0:0"}} {
		o.DataDir, o.Open = t.TempDir(), true
		s := start(t, o)
		if _, err := local.Address(o.DataDir); err == nil || s.URLFor(scheme.UserEdge) != s.URL() {
			t.Error("it is told of as one with users")
		}
	}
}

// TestNoPlaceForPasswords: without a place for passwords there is no server.
func TestNoPlaceForPasswords(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(local.PasswordFile(dir, scheme.UserEdge), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{DataDir: dir}); !errors.Is(err, ErrStart) {
		t.Error(err)
	}
	if _, err := Start(Options{DataDir: t.TempDir(), Cluster: &Cluster{Name: "C", Server: "a", Listen: "127.0.0.1:0"}}); !errors.Is(err, ErrStart) {
		t.Error("a member of a cluster:", err)
	}
}
