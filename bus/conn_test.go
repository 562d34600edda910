package bus

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelseyhightower/envconfig"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/jet"
	"hydrant/bus/internal/natstest"
)

func TestConfigFromEnvironment(t *testing.T) {
	for k, v := range map[string]string{
		"NATS_URL": "nats://a:1", "NATS_CREDS": "c", "NATS_NKEY": "n", "NATS_USER": "u", "NATS_PASSWORD": "p",
		"NATS_PASSWORD_FILE": "f", "NATS_CA": "ca", "NATS_CERT": "ce", "NATS_KEY": "k", "NATS_INBOX_PREFIX": "in",
	} {
		t.Setenv(k, v)
	}
	var c Config
	if err := envconfig.Process("", &c); err != nil {
		t.Fatal(err)
	}
	if c != (Config{"nats://a:1", "c", "n", "u", "p", "f", "ca", "ce", "k", "in"}) {
		t.Fatalf("%+v", c)
	}
}

func TestConfigErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	creds, secret, missing := file("creds", "x"), file("secret", "s3cret\n"), filepath.Join(dir, "none")
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"no creds file":      {Config{Creds: missing}, "NATS_CREDS"},
		"no nkey file":       {Config{NKey: missing}, "NATS_NKEY"},
		"not an nkey":        {Config{NKey: creds}, "NATS_NKEY"},
		"password, no user":  {Config{Password: "s3cret"}, "NATS_USER"},
		"two passwords":      {Config{User: "u", Password: "s3cret", PasswordFile: secret}, "NATS_PASSWORD_FILE"},
		"no password file":   {Config{User: "u", PasswordFile: missing}, "NATS_PASSWORD_FILE"},
		"creds and user":     {Config{Creds: creds, User: "u"}, "more than one"},
		"no CA file":         {Config{CA: missing}, "NATS_CA"},
		"not a CA":           {Config{CA: creds}, "certificate"},
		"bad port":           {Config{URL: "nats://a:1,nats://u:s3cret@b:x"}, "address 2"},
		"no host":            {Config{URL: "nats://a:1,"}, "address 2"},
		"another scheme":     {Config{URL: "http://u:s3cret@a"}, "http:// is none of"},
		"cert without a key": {Config{Cert: creds}, "NATS_KEY"},
		"key without a cert": {Config{Key: creds}, "NATS_CERT"},
	} {
		_, err := Connect(c.cfg, "test")
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error holds the secret", name)
		}
	}
}

func TestConnectWithPasswordFile(t *testing.T) {
	ns := natstest.StartServer(t, server.Options{Username: "u", Password: "s3cret"})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc, err := Connect(Config{URL: ns.ClientURL(), User: "u", PasswordFile: secret}, "test",
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	if nc.Opts.Name != "test" || nc.Opts.MaxReconnect != -1 || nc.Opts.FlusherTimeout != BlockTimeout || nc.Opts.Timeout != BlockTimeout {
		t.Errorf("%+v", nc.Opts)
	}
	nc.Close()
	<-closed
	if _, err := Connect(Config{URL: ns.ClientURL(), User: "u", Password: "wrong"}, "test"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := Connect(Config{URL: "nats://u:s3cret@127.0.0.1:1"}, "test"); err == nil ||
		!strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("connecting to nothing: %v", err)
	}
}

// TestConnectionOutlivesRefusals: a server that refuses a connection it has had
// before, as one does that is restarted with yesterday's passwords or before its
// account resolver, is asked again until it takes it.
func TestConnectionOutlivesRefusals(t *testing.T) {
	t.Parallel() // it waits for reconnects
	port := server.RANDOM_PORT
	start := func(password string) *server.Server {
		t.Helper()
		ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, Username: "u", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		if !ns.ReadyForConnections(natstest.Patience) {
			t.Fatal("the server does not start")
		}
		port = ns.Addr().(*net.TCPAddr).Port
		return ns
	}
	stop := func(ns *server.Server) {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
	ns := start("s3cret")
	refused, back, closed := make(chan error, 100), make(chan struct{}, 1), make(chan struct{})
	nc, err := Connect(Config{URL: ns.ClientURL(), User: "u", Password: "s3cret"}, "test",
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case refused <- err:
			default: // more than enough
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	stop(ns)
	ns = start("another")
	for range 3 {
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("refused with %v", err)
			}
		case <-closed:
			t.Fatal("the connection is given up")
		}
	}
	stop(ns)
	ns = start("s3cret")
	<-back
	nc.Close()
	<-closed
	stop(ns)
}

// TestRedacted: no secret is told, in whatever form of address nats.go takes.
func TestRedacted(t *testing.T) {
	for url, want := range map[string]string{
		"nats://a:4222":                     "nats://a:4222",
		"a:4222, b":                         "nats://a:4222,nats://b",
		"nats://u:secret@a:4222":            "nats://u:xxxxx@a:4222",
		"u:secret@a:4222,tls://u:secret@b":  "nats://u:xxxxx@a:4222,tls://u:xxxxx@b",
		"secret@a":                          "nats://xxxxx@a",
		"nats://secret@a:4222":              "nats://xxxxx@a:4222",
		"nats://u:se#cret@a:4222,nats://ok": "address 1,nats://ok",
	} {
		if got := jet.Redacted(url); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}
