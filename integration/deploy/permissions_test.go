package deploy

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"hydrant/bus/store"
	"hydrant/integration/harness"
)

// user connects with a user of accounts.conf. Violations are sent to the
// channel.
func user(t *testing.T, url, name string) (*nats.Conn, <-chan error) {
	t.Helper()
	violations := make(chan error, 64)
	nc, err := harness.ConnectNATS(url, nats.UserInfo(name, "laptop-"+name), nats.ErrorHandler(
		func(_ *nats.Conn, _ *nats.Subscription, err error) { violations <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, violations
}

// TestAdministrators: the administrator of Hydrant's account has everything in
// it and nothing of the servers; the one of the servers sees no message.
func TestAdministrators(t *testing.T) {
	url := startAccounts(t).ClientURL()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	node, err := harness.StartNode(ctx, harness.NodeOptions{Name: "edge", NATS: url, Env: map[string]string{"NATS_USER": "edge", "NATS_PASSWORD": "laptop-edge"}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := harness.Enter(ctx, node.URL("/"), harness.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	admin, violations := user(t, url, "admin")
	rows, err := store.ListSessions(ctx, admin, 10)
	if err != nil || len(rows) != 1 || string(rows[0].SID) != client.ID {
		t.Errorf("sessions %v, %v, want %s", rows, err, client.ID)
	}
	// Who runs the tool as a node's user is told, and does not wait.
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(ctx, bin.Hydrant, "sessions")
	list.Env = []string{"NATS_URL=" + url, "NATS_USER=edge", "NATS_PASSWORD=laptop-edge"}
	var text bytes.Buffer
	list.Stdout, list.Stderr = &text, &text
	if err := harness.Run(list); err == nil || !strings.Contains(text.String(), "a node's user may not list sessions") {
		t.Errorf("sessions as a node's user: %v\n%s", err, text.Bytes())
	}
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(ctx, "UMF_OUT_0"); err != nil {
		t.Error(err)
	}
	const servers = "$SYS.REQ.SERVER.PING"
	if m, err := admin.RequestWithContext(ctx, servers, nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the account's administrator asks the servers: %v %v", m, err)
	}
	select {
	case err := <-violations:
		t.Errorf("admin: %v", err)
	default:
	}

	sys, _ := user(t, url, "sys")
	all, err := sys.SubscribeSync("umf.>")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.RequestWithContext(ctx, servers, nil); err != nil {
		t.Errorf("the servers' administrator: %v", err)
	}
	answer, err := client.Call(ctx, harness.Object{"to": "nosuch:/", "bdy": "x"})
	if err != nil || answer.Error() == "" {
		t.Fatalf("%s %v", answer.Raw, err)
	}
	if err := sys.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := all.Pending(); n != 0 || err != nil {
		t.Errorf("the servers' administrator saw %d messages, %v", n, err)
	}
}

// TestStrangersAtNATS: nobody gets in without the password of a user, or with another's.
func TestStrangersAtNATS(t *testing.T) {
	url := startAccounts(t).ClientURL()
	for name, options := range map[string][]nats.Option{
		"no user":                {},
		"no password":            {nats.UserInfo("edge", "")},
		"another's password":     {nats.UserInfo("edge", "laptop-echo")},
		"the user in upper case": {nats.UserInfo("EDGE", "laptop-edge")},
		"a user that is not one": {nats.UserInfo("nobody", "laptop-edge")},
		"a token":                {nats.Token("laptop-edge")},
		"the servers' own user":  {nats.UserInfo("route", "secret-routes")},
	} {
		nc, err := nats.Connect(url, options...)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			nc.Close()
		}
	}
}
