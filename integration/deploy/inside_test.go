package deploy

import (
	"context"
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
	t.Parallel()
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
	push := func(ctx context.Context, victim *harness.Client) {
		m, err := s.NewMessage(victim.Address(), "secret")
		if err == nil {
			err = s.Push(ctx, victim.ID, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	survivesAttack(t, nc, node, true, "to a service", push, maySeeInside)
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
