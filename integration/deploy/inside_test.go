package deploy

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// TestEvilServiceInside: the same with the user that services have on NATS inside a node
// (S80–S84): it takes what services are sent, and nothing of nodes, mailboxes or the
// directory, and what it forges does nothing.
func TestEvilServiceInside(t *testing.T) {
	listen, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	node, err := harness.StartNode(t.Context(), harness.NodeOptions{Name: "inside", Env: map[string]string{
		"EDGE_DATA_DIR": dir, "EDGE_NATS_LISTEN": listen, "EDGE_MAILBOX_STREAMS": "1", "EDGE_QUEUE_SERVICES": "evil", "EDGE_ADMIN_TOKEN": adminToken,
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := bus.Config{URL: "nats://" + listen, User: "service", PasswordFile: filepath.Join(dir, "nats-service.password")}
	s := startService(t, config)
	nc, err := bus.Connect(config, "evil", nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // it is refused much
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	seen := spyOnAll(t, nc)
	victim := dial(t, node)
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	works := func() error {
		answer, err := victim.Call(ctx, harness.Object{"to": "echo:[GET]/x", "bdy": "to a service"})
		if err == nil && answer.Error() != "" {
			err = errors.New(answer.Error())
		}
		return err
	}
	if err := harness.Until(ctx, works); err != nil {
		t.Fatal(err)
	}
	m, err := s.NewMessage(victim.Address(), "secret")
	if err == nil {
		err = s.Push(ctx, victim.ID, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	attack(t, nc, true, victim)
	if err := works(); err != nil {
		t.Error(err)
	}
	again := dial(t, node)
	answer, err := again.Resume(ctx, "reconnect", harness.Object{"id": victim.ID, "token": victim.Token})
	if err != nil || answer.At("bdy", "resumed") != true {
		t.Fatalf("resume: %s %v", answer.Raw, err)
	}
	for _, c := range []*harness.Client{victim, again} {
		for _, m := range c.Inbox() {
			if strings.Contains(string(m.Raw), "forged") {
				t.Errorf("came: %s", m.Raw)
			}
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, m := range seen() {
		if strings.Contains(string(m.Data), "secret") || !maySeeInside(m.Subject) {
			t.Errorf("seen on %s: %s", m.Subject, m.Data)
		}
	}
}

// maySeeInside: what services are sent, and what happened to sessions.
func maySeeInside(subject string) bool {
	for _, prefix := range []string{"umf.v1.svc.", "umf.v1.inst.", "umf.v1.call.", "umf.v1.evt.session.", "_INBOX_service.", "$SRV."} {
		if strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}
