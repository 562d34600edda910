package bus

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/local"
	"hydrant/bus/scheme"
)

// TestConnectByDataDir: a service on the machine of a node connects with the password of
// the node's directory, and no other server is sent it.
func TestConnectByDataDir(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("EDGE_DATA_DIR", dir)
	password, err := local.Password(dir, scheme.UserService)
	if err != nil {
		t.Fatal(err)
	}
	ns := natstest.StartServer(t, server.Options{Users: []*server.User{{Username: scheme.UserService, Password: password}}})
	refused := func(why string, cfg Config) {
		t.Helper()
		nc, err := Connect(cfg, "x")
		if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", why, err)
		}
		if err == nil {
			nc.Close()
		}
	}
	refused("without an address", Config{URL: ns.ClientURL()})
	if err := local.Announce(dir, ns.ClientURL()); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"", ns.ClientURL(), strings.Replace(ns.ClientURL(), "127.0.0.1", "localhost", 1)} {
		nc := connect(t, url)
		if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_INBOX_service.") {
			t.Errorf("%q: answers come to %s", url, inbox)
		}
	}
	refused("with a user of its own", Config{URL: ns.ClientURL(), User: "me", Password: "mine"})
	other := natstest.StartServer(t, server.Options{Users: []*server.User{{Username: scheme.UserService, Password: password}}})
	refused("another server", Config{URL: other.ClientURL()})
	refused("another server too", Config{URL: other.ClientURL() + "," + ns.ClientURL()})
	for _, cfg := range []Config{{URL: "nats://example.org:4222"}, {URL: "nats://u:p@" + strings.TrimPrefix(ns.ClientURL(), "nats://")}, {Creds: "file"}, {NKey: "file"}} {
		if got := cfg.As(scheme.UserService); got != cfg {
			t.Errorf("%+v is made %+v", cfg, got)
		}
	}
	if err := os.Remove(local.PasswordFile(dir, scheme.UserService)); err != nil {
		t.Fatal(err)
	}
	_, err = Connect(Config{}, "x")
	if !errors.Is(err, nats.ErrNoServers) && (err == nil || !errors.Is(err, nats.ErrAuthorization) || !strings.Contains(err.Error(), "EDGE_DATA_DIR")) {
		t.Errorf("without a password: %v", err)
	}
}
