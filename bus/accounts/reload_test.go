package accounts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"hydrant/bus/internal/natstest"
	"hydrant/bus/scheme"
)

// TestReloadAccounts: accounts that come and go leave the others as they are.
func TestReloadAccounts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	write := func(services ...scheme.Service) {
		c := Config{Services: services}
		if err := os.WriteFile(file, []byte("listen: 127.0.0.1:-1\njetstream { store_dir: \""+dir+"\" }\n"+withPasswords(c, textOf(t, c))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("chat", "old")
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(natstest.Patience) {
		t.Fatal("not ready")
	}
	edge, _ := as(t, s, scheme.UserEdge)
	answers, err := edge.SubscribeSync("umf.v1.req.n.>")
	if err != nil {
		t.Fatal(err)
	}
	serve := func(name string) {
		nc, _ := as(t, s, name)
		if _, err := nc.Subscribe("umf.v1.svc."+name, func(m *nats.Msg) { _ = m.Respond([]byte(name)) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	ask := func(name string) {
		t.Helper()
		n++
		if err := edge.PublishRequest("umf.v1.svc."+name, "umf.v1.req.n."+string(rune('a'+n)), nil); err != nil {
			t.Fatal(err)
		}
		if m, err := answers.NextMsg(natstest.Patience); err != nil || string(m.Data) != name {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	serve("chat")
	ask("chat")
	write("chat", "new")
	for range Reloads {
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	ask("chat")
	serve("new")
	ask("new")
	ask("chat")
}
